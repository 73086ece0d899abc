#include "runtime/config/config.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <numeric>
#include <optional>

#include "runtime/config/document.h"

namespace edgeloop::config {
namespace {

using Kind = Value::Kind;

std::string Quote(std::string_view text) {
  constexpr size_t kShown = 64;
  std::string out = "'";
  out += text.substr(0, kShown);
  if (text.size() > kShown) out += "...";
  return out + "'";
}

std::string Describe(const Value& value) {
  switch (value.kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kMapping:
      return "a mapping";
    case Kind::kSequence:
      return "a list";
    case Kind::kScalar:
      break;
  }
  return value.plain ? Quote(value.scalar) : "the text \"" + value.scalar.substr(0, 64) + "\"";
}

// 0.5 rather than 0.500000.
std::string NumberText(double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

std::string RangeText(const IntRange& range) {
  if (range.min == INT64_MIN && range.max == INT64_MAX) return "";
  if (range.max == INT64_MAX) return " of at least " + std::to_string(range.min);
  if (range.min == INT64_MIN) return " of at most " + std::to_string(range.max);
  return " " + std::to_string(range.min) + ".." + std::to_string(range.max);
}

std::string RangeText(const FloatRange& range) {
  const FloatRange all;
  if (range.min == all.min && range.max == all.max) return "";
  if (range.max == all.max) return " of at least " + NumberText(range.min);
  if (range.min == all.min) return " of at most " + NumberText(range.max);
  return " " + NumberText(range.min) + ".." + NumberText(range.max);
}

template <typename T>
std::optional<T> ParseNumber(const Value& value) {
  if (value.kind != Kind::kScalar || !value.plain) return std::nullopt;
  T number{};
  const char* end = value.scalar.data() + value.scalar.size();
  const auto result = std::from_chars(value.scalar.data(), end, number);
  if (result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return number;
}

}  // namespace

// What the readers of one document share.
struct Document {
  std::string name;
  std::optional<Error> error;  // the first

  void Refuse(int line, const std::string& message) {
    if (error) return;
    error.emplace(ErrorCode::kInvalidArgument, name + ":" + std::to_string(line) + ": " + message);
  }
};

struct Reader::Node {
  Document* document;
  const Value* value;
  std::string path;                    // "devices[0].source", empty at the top
  std::vector<std::string> asked;      // known keys
  std::optional<std::string> missing;  // the first required key that is not there

  bool Done() const { return document->error.has_value(); }
  std::string PathOf(std::string_view key) const {
    return path.empty() ? std::string(key) : path + "." + std::string(key);
  }
  void Refuse(std::string_view key, const Value& at, const std::string& message) {
    document->Refuse(at.line, PathOf(key) + ": " + message);
  }
  // The value of a key from here on known, or nullptr.
  const Value* Ask(std::string_view key, bool required) {
    if (Done()) return nullptr;
    asked.emplace_back(key);
    const Value* found = value->Find(key);
    if (found == nullptr && required && !missing) missing = std::string(key);
    return found;
  }
  template <typename T>
  void Integer(std::string_view key, T* out, const IntRange& wanted, bool required) {
    const Value* found = Ask(key, required);
    if (found == nullptr) return;
    IntRange range = wanted;
    range.min = std::max<int64_t>(range.min, std::numeric_limits<T>::min());
    range.max = std::min<int64_t>(range.max, std::numeric_limits<T>::max());
    const auto number = ParseNumber<int64_t>(*found);
    if (!number || *number < range.min || *number > range.max) {
      return Refuse(key, *found,
                    "expected an integer" + RangeText(range) + ", got " + Describe(*found));
    }
    *out = static_cast<T>(*number);
  }
  void Float(std::string_view key, double* out, const FloatRange& range, bool required) {
    const Value* found = Ask(key, required);
    if (found == nullptr) return;
    const auto number = ParseNumber<double>(*found);
    if (!number || !std::isfinite(*number) || *number < range.min || *number > range.max) {
      return Refuse(key, *found,
                    "expected a number" + RangeText(range) + ", got " + Describe(*found));
    }
    *out = *number;
  }
  void Text(std::string_view key, std::string* out, bool required) {
    const Value* found = Ask(key, required);
    if (found == nullptr) return;
    if (found->kind != Kind::kScalar) {
      return Refuse(key, *found, "expected text, got " + Describe(*found));
    }
    *out = found->scalar;
  }
  void ReadMapping(const Value& mapping, const std::string& mapping_path,
                   const std::function<void(Reader&)>& read) {
    if (mapping.kind != Kind::kMapping) {
      return document->Refuse(mapping.line,
                              mapping_path + ": expected a mapping, got " + Describe(mapping));
    }
    Reader reader(std::make_unique<Node>(Node{document, &mapping, mapping_path, {}, {}}));
    read(reader);
    // An error is kept in the document; the reader of the whole document returns it.
    static_cast<void>(reader.Finish());
  }
};

Reader::Reader(std::unique_ptr<Node> node) : node_(std::move(node)) {}
Reader::Reader(Reader&&) noexcept = default;
Reader::~Reader() = default;

void Reader::Required(std::string_view key, std::string* out) { node_->Text(key, out, true); }
void Reader::Optional(std::string_view key, std::string* out) { node_->Text(key, out, false); }
void Reader::Required(std::string_view key, int64_t* out, IntRange range) {
  node_->Integer(key, out, range, true);
}
void Reader::Optional(std::string_view key, int64_t* out, IntRange range) {
  node_->Integer(key, out, range, false);
}
void Reader::Required(std::string_view key, int* out, IntRange range) {
  node_->Integer(key, out, range, true);
}
void Reader::Optional(std::string_view key, int* out, IntRange range) {
  node_->Integer(key, out, range, false);
}
void Reader::Required(std::string_view key, double* out, FloatRange range) {
  node_->Float(key, out, range, true);
}
void Reader::Optional(std::string_view key, double* out, FloatRange range) {
  node_->Float(key, out, range, false);
}

void Reader::Optional(std::string_view key, bool* out) {
  const Value* found = node_->Ask(key, false);
  if (found == nullptr) return;
  const bool plain = found->kind == Kind::kScalar && found->plain;
  if (!plain || (found->scalar != "true" && found->scalar != "false")) {
    return node_->Refuse(key, *found, "expected true or false, got " + Describe(*found));
  }
  *out = found->scalar == "true";
}

void Reader::Optional(std::string_view key, std::vector<std::string>* out) {
  const Value* found = node_->Ask(key, false);
  if (found == nullptr) return;
  if (found->kind != Kind::kSequence) {
    return node_->Refuse(key, *found, "expected a list of texts, got " + Describe(*found));
  }
  std::vector<std::string> texts;
  for (const Value& element : found->elements) {
    if (element.kind != Kind::kScalar) {
      return node_->Refuse(key, element, "expected a list of texts, got " + Describe(element));
    }
    texts.push_back(element.scalar);
  }
  *out = std::move(texts);
}

void Reader::Choice(std::string_view key, std::string* out, const std::vector<std::string>& choices,
                    bool required) {
  const Value* found = node_->Ask(key, required);
  if (found == nullptr) return;
  if (found->kind == Kind::kScalar && std::ranges::find(choices, found->scalar) != choices.end()) {
    *out = found->scalar;
    return;
  }
  std::string list;
  for (const std::string& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  const std::string near = Nearest(found->scalar, choices);
  node_->Refuse(key, *found,
                "expected one of " + list + "; got " + Describe(*found) +
                    (near.empty() ? "" : "; did you mean '" + near + "'?"));
}

void Reader::Section(std::string_view key, const std::function<void(Reader&)>& read,
                     bool required) {
  const Value* found = node_->Ask(key, required);
  if (found != nullptr) node_->ReadMapping(*found, node_->PathOf(key), read);
}

void Reader::List(std::string_view key, const std::function<void(Reader&)>& read, bool required) {
  const Value* found = node_->Ask(key, required);
  if (found == nullptr) return;
  if (found->kind != Kind::kSequence) {
    return node_->Refuse(key, *found, "expected a list, got " + Describe(*found));
  }
  for (size_t i = 0; i < found->elements.size() && !node_->Done(); ++i) {
    node_->ReadMapping(found->elements[i], node_->PathOf(key) + "[" + std::to_string(i) + "]",
                       read);
  }
}

void Reader::StringMap(std::string_view key,
                       std::vector<std::pair<std::string, std::string>>* out) {
  const Value* found = node_->Ask(key, false);
  if (found == nullptr) return;
  if (found->kind != Kind::kMapping) {
    return node_->Refuse(key, *found, "expected a mapping, got " + Describe(*found));
  }
  std::vector<std::pair<std::string, std::string>> entries;
  for (size_t i = 0; i < found->keys.size(); ++i) {
    const std::string& name = found->keys[i];
    const Value& value = found->elements[i];
    if (value.kind != Kind::kScalar) {
      return node_->Refuse(std::string(key) + "." + name, value,
                           "expected text, got " + Describe(value));
    }
    entries.emplace_back(name, value.scalar);
  }
  *out = std::move(entries);
}

bool Reader::Has(std::string_view key) { return node_->Ask(key, false) != nullptr; }

void Reader::Fail(std::string_view key, std::string_view message) {
  if (node_->missing) return;  // judging a value that is not there helps nobody
  const Value* found = node_->value->Find(key);
  node_->Refuse(key, found != nullptr ? *found : *node_->value, std::string(message));
}

Status Reader::Finish() {
  Document& document = *node_->document;
  const std::string where = node_->path.empty() ? "" : " in '" + node_->path + "'";
  if (!node_->Done()) {
    for (size_t i = 0; i < node_->value->keys.size(); ++i) {
      const std::string& key = node_->value->keys[i];
      if (std::ranges::find(node_->asked, key) != node_->asked.end()) continue;
      const std::string near = Nearest(key, node_->asked);
      document.Refuse(node_->value->elements[i].line,
                      "unknown key " + Quote(key) + where +
                          (near.empty() ? "" : "; did you mean '" + near + "'?"));
      break;
    }
  }
  if (!node_->Done() && node_->missing) {
    document.Refuse(node_->value->line, "missing key '" + *node_->missing + "'" + where);
  }
  if (document.error) return edgeloop::Fail(*document.error);
  return {};
}

Status ReadText(std::string_view text, std::string_view name,
                const std::function<void(Reader&)>& read) {
  Document document{std::string(name), std::nullopt};
  if (text.size() > kMaxConfigBytes) {
    return edgeloop::Fail(ErrorCode::kInvalidArgument,
                          document.name + ": larger than " + std::to_string(kMaxConfigBytes) +
                              " bytes, the limit of a configuration file");
  }
  auto root = ParseDocument(text, name);
  if (!root) return edgeloop::Fail(root.error());
  if (root->kind != Kind::kMapping) {
    return edgeloop::Fail(
        ErrorCode::kInvalidArgument,
        document.name + ":1: expected 'key: value' lines, got " + Describe(*root));
  }
  Reader reader(std::make_unique<Reader::Node>(Reader::Node{&document, &*root, "", {}, {}}));
  read(reader);
  return reader.Finish();
}

Status ReadFile(const std::string& path, const std::function<void(Reader&)>& read) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxConfigBytes + 1, '\0');
  if (!file || !(file.read(text.data(), static_cast<std::streamsize>(text.size())) || file.eof())) {
    return edgeloop::Fail(ErrorCode::kInvalidArgument,
                          path + ": cannot read: " + std::strerror(errno));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  return ReadText(text, path, read);
}

std::string Nearest(std::string_view word, const std::vector<std::string>& known) {
  constexpr size_t kMaxWord = 64;
  if (word.empty() || word.size() > kMaxWord) return "";
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;  // one edit in three letters
  for (const std::string& candidate : known) {
    if (candidate.size() > kMaxWord) continue;
    // Optimal string alignment: a swap of neighbours, the commonest slip, is one edit.
    std::vector<std::vector<size_t>> cost(word.size() + 1,
                                          std::vector<size_t>(candidate.size() + 1));
    for (size_t i = 0; i <= word.size(); ++i) cost[i][0] = i;
    for (size_t j = 0; j <= candidate.size(); ++j) cost[0][j] = j;
    for (size_t i = 1; i <= word.size(); ++i) {
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t replace = cost[i - 1][j - 1] + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1]) {
          cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
      }
    }
    const size_t distance = cost[word.size()][candidate.size()];
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace edgeloop::config
