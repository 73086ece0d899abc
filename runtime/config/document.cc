#include "runtime/config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <optional>
#include <sstream>

namespace edgeloop::config {
namespace {

// Leaves yaml-cpp's parser from within an event.
struct Refused {
  int line;
  std::string message;
};

// Builds the tree from parser events. The path of open collections is a stack of values: a finished
// value moves into the collection below it.
class Builder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Check(mark, anchor, "");
    Value value;
    value.line = mark.line + 1;
    Finish(std::move(value));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark.line + 1, "aliases (*name) are not accepted: write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    Check(mark, anchor, tag);
    Value value;
    value.line = mark.line + 1;
    value.plain = tag != "!";
    value.scalar = text;
    value.kind =
        value.plain && (text == "~" || text == "null") ? Value::Kind::kNull : Value::Kind::kScalar;
    Finish(std::move(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, Value::Kind::kSequence);
  }
  void OnSequenceEnd() override { Close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(mark, tag, anchor, Value::Kind::kMapping);
  }
  void OnMapEnd() override { Close(); }

  std::optional<Value> root;

 private:
  struct Level {
    Value value;
    std::optional<std::string> key;  // of a mapping, waiting for its value
    int key_line = 0;
  };

  void Check(const YAML::Mark& mark, YAML::anchor_t anchor, const std::string& tag) {
    const int line = mark.line + 1;
    if (anchor != YAML::NullAnchor) throw Refused{line, "anchors (&name) are not accepted"};
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused{line, "tags are not accepted: '" + tag.substr(0, 64) + "'"};
    }
    if (++nodes_ > kMaxNodes) {
      throw Refused{line, "more than " + std::to_string(kMaxNodes) + " values"};
    }
  }
  void Open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Value::Kind kind) {
    Check(mark, anchor, tag);
    if (levels_.size() >= static_cast<size_t>(kMaxDepth)) {
      throw Refused{mark.line + 1, "nested deeper than " + std::to_string(kMaxDepth)};
    }
    levels_.emplace_back();
    levels_.back().value.kind = kind;
    levels_.back().value.line = mark.line + 1;
  }
  void Close() {
    Value value = std::move(levels_.back().value);
    levels_.pop_back();
    Finish(std::move(value));
  }
  void Finish(Value value) {
    if (levels_.empty()) {
      root = std::move(value);
      return;
    }
    Level& level = levels_.back();
    if (level.value.kind == Value::Kind::kSequence) {
      level.value.elements.push_back(std::move(value));
    } else if (level.key) {
      // The line of a pair is that of its key: where a reader looks first.
      value.line = level.key_line;
      level.value.keys.push_back(std::move(*level.key));
      level.value.elements.push_back(std::move(value));
      level.key.reset();
    } else if (value.kind != Value::Kind::kScalar) {
      throw Refused{value.line, "a key must be a word"};
    } else if (level.value.Find(value.scalar) != nullptr) {
      throw Refused{value.line, "key '" + value.scalar.substr(0, 64) + "' is given twice"};
    } else {
      level.key = std::move(value.scalar);
      level.key_line = value.line;
    }
  }

  std::vector<Level> levels_;
  size_t nodes_ = 0;
};

}  // namespace

const Value* Value::Find(std::string_view key) const {
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] == key) return &elements[i];
  }
  return nullptr;
}

Expected<Value> ParseDocument(std::string_view text, std::string_view name) {
  const auto refuse = [&](int line, const std::string& message) {
    return Fail(ErrorCode::kInvalidArgument,
                std::string(name) + ":" + std::to_string(line) + ": " + message);
  };
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Builder builder;
    if (!parser.HandleNextDocument(builder) || !builder.root) {
      Value empty;
      empty.kind = Value::Kind::kMapping;
      return empty;
    }
    Value root = std::move(*builder.root);
    Builder second;
    if (parser.HandleNextDocument(second)) {
      return refuse(1, "more than one YAML document (---) in the file");
    }
    return root;
  } catch (const Refused& refused) {
    return refuse(refused.line, refused.message);
  } catch (const YAML::Exception& error) {
    return refuse(error.mark.line + 1, "not YAML: " + error.msg);
  } catch (const std::exception& error) {
    return refuse(1, std::string("not YAML: ") + error.what());
  }
}

}  // namespace edgeloop::config
