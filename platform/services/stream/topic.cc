#include "platform/services/stream/topic.h"

#include <algorithm>
#include <charconv>

namespace edgeloop::stream {
namespace {

constexpr int64_t kMinSegmentBytes = 64 * 1024;
constexpr int64_t kDefaultMaxMessageBytes = 4 << 20;

struct NumberKey {
  const char* name;
  const char* fallback;
  int64_t min;
  int64_t max;
};
constexpr NumberKey kNumberKeys[] = {
    {"retention.ms", "604800000", -1, INT64_MAX},
    {"retention.bytes", "-1", -1, INT64_MAX},
    {"segment.bytes", "67108864", kMinSegmentBytes, kMaxSegmentBytes - 1},
    {"delete.retention.ms", "86400000", 0, INT64_MAX},
    {"max.message.bytes", "4194304", 1024, 64 << 20},
};
constexpr char kCleanupPolicy[] = "cleanup.policy";

bool ParseNumber(std::string_view text, int64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

bool ValidTopicName(std::string_view name) {
  constexpr size_t kMaxNameBytes = 249;
  if (name.empty() || name.size() > kMaxNameBytes || name == "." || name == "..") return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

TopicConfig DescribeTopicConfig(const TopicConfig& config) {
  TopicConfig all;
  all[kCleanupPolicy] = "delete";
  for (const NumberKey& key : kNumberKeys) all[key.name] = key.fallback;
  for (const auto& [key, value] : config) all[key] = value;
  return all;
}

Expected<TopicSettings> ParseTopicConfig(const TopicConfig& config) {
  TopicSettings settings;
  settings.max_message_bytes = kDefaultMaxMessageBytes;
  for (const auto& [name, text] : config) {
    if (name == kCleanupPolicy) {
      settings.log.compact =
          text == "compact" || text == "compact,delete" || text == "delete,compact";
      settings.log.remove_old = text != "compact";
      if (!settings.log.compact && text != "delete") {
        return Fail(ErrorCode::kInvalidArgument,
                    "cleanup.policy must be delete, compact or compact,delete, not '" + text + "'");
      }
      continue;
    }
    const auto key = std::ranges::find(kNumberKeys, name,
                                       [](const NumberKey& k) { return std::string_view(k.name); });
    if (key == std::end(kNumberKeys)) {
      return Fail(ErrorCode::kInvalidArgument, "unknown topic setting '" + name + "'");
    }
    int64_t value = 0;
    if (!ParseNumber(text, &value) || value < key->min || value > key->max) {
      return Fail(ErrorCode::kInvalidArgument,
                  name + " must be a number from " + std::to_string(key->min) + " to " +
                      std::to_string(key->max) + ", not '" + text + "'");
    }
    if (name == "retention.ms") settings.log.retention_ms = value;
    if (name == "retention.bytes") settings.log.retention_bytes = value;
    if (name == "segment.bytes") settings.log.segment_bytes = static_cast<uint64_t>(value);
    if (name == "delete.retention.ms") settings.log.tombstone_retention_ms = value;
    if (name == "max.message.bytes") settings.max_message_bytes = static_cast<uint32_t>(value);
  }
  return settings;
}

std::string EncodeTopic(size_t partitions, const TopicConfig& config) {
  std::string text = "partitions=" + std::to_string(partitions) + "\n";
  for (const auto& [key, value] : config) text += key + "=" + value + "\n";
  return text;
}

bool DecodeTopic(std::string_view text, size_t* partitions, TopicConfig* config) {
  *partitions = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    const size_t equals = line.find('=');
    if (end == std::string_view::npos || equals == std::string_view::npos) return false;
    const std::string_view key = line.substr(0, equals);
    const std::string_view value = line.substr(equals + 1);
    if (key == "partitions") {
      int64_t number = 0;
      if (!ParseNumber(value, &number) || number < 1) return false;
      *partitions = static_cast<size_t>(number);
    } else {
      config->emplace(key, value);
    }
    text.remove_prefix(end + 1);
  }
  return *partitions > 0;
}

}  // namespace edgeloop::stream
