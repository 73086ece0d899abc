#include "contracts/sparkplug/topic.h"

#include <array>
#include <optional>
#include <vector>

#include "contracts/ids/ids.h"

namespace edgeloop::sparkplug {
namespace {

constexpr std::string_view kNamespace = "spBv1.0";
// In the order of MessageType.
constexpr std::array<std::string_view, 8> kNames = {"NBIRTH", "NDEATH", "NDATA", "NCMD",
                                                    "DBIRTH", "DDEATH", "DDATA", "DCMD"};
// Namespace, group, type and two ids, each with its separator.
constexpr size_t kMaxTopicBytes = 8 + 3 * (kMaxIdLength + 1) + 7;

std::optional<MessageType> TypeOf(std::string_view name) {
  for (size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return MessageType(i);
  }
  return std::nullopt;
}

}  // namespace

std::string_view MessageTypeName(MessageType type) { return kNames[size_t(type)]; }

bool IsDeviceMessage(MessageType type) { return type >= MessageType::kDeviceBirth; }

std::string FormatTopic(const Topic& topic) {
  std::string text(kNamespace);
  text.append("/").append(topic.group).append("/").append(MessageTypeName(topic.type));
  text.append("/").append(topic.node);
  if (IsDeviceMessage(topic.type)) text.append("/").append(topic.device);
  return text;
}

Expected<Topic> ParseTopic(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Fail(ErrorCode::kInvalidArgument,
                "topic '" + std::string(text.substr(0, 200)) + "': " + std::string(why));
  };
  if (text.size() > kMaxTopicBytes) return bad("longer than any Sparkplug topic of ours");
  std::vector<std::string_view> levels;
  for (std::string_view rest = text;;) {
    const size_t slash = rest.find('/');
    levels.push_back(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (levels[0] != kNamespace) return bad("not below spBv1.0/");
  if (levels.size() < 4 || levels.size() > 5) return bad("expected 4 or 5 levels");
  const auto type = TypeOf(levels[2]);
  if (!type) return bad("unknown message type");
  if (IsDeviceMessage(*type) != (levels.size() == 5)) {
    return bad(IsDeviceMessage(*type) ? "the device is missing" : "a node message has no device");
  }
  for (size_t i : {size_t{1}, size_t{3}, levels.size() - 1}) {
    if (!IsValidId(levels[i])) return bad("a level is not 1 to 48 characters of a-z, 0-9, '-'");
  }
  Topic topic{std::string(levels[1]), *type, std::string(levels[3]), {}};
  if (levels.size() == 5) topic.device = levels[4];
  return topic;
}

std::string TopicFilter(std::string_view group, MessageType type) {
  std::string text(kNamespace);
  text.append("/").append(group).append("/").append(MessageTypeName(type)).append("/#");
  return text;
}

}  // namespace edgeloop::sparkplug
