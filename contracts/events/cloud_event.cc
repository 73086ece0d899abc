#include "contracts/events/cloud_event.h"

#include <charconv>
#include <chrono>
#include <cstdio>

namespace edgeloop::events {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

// Reads exactly `digits` decimal digits at text[pos].
bool ReadDigits(std::string_view text, size_t pos, size_t digits, unsigned* out) {
  if (pos + digits > text.size()) return false;
  const char* end = text.data() + pos + digits;
  auto [stop, ec] = std::from_chars(text.data() + pos, end, *out);
  return ec == std::errc() && stop == end;
}

}  // namespace

Headers ToHeaders(const CloudEvent& event) {
  return {{"ce_specversion", "1.0"},
          {"ce_id", event.id},
          {"ce_source", event.source},
          {"ce_type", event.type},
          {"ce_time", FormatTime(event.time_ns)},
          {"content-type", "application/protobuf"}};
}

Expected<CloudEvent> FromHeaders(const Headers& headers) {
  CloudEvent event;
  std::string_view version;
  for (const auto& [name, value] : headers) {
    if (name == "ce_specversion") version = value;
    if (name == "ce_id") event.id = value;
    if (name == "ce_source") event.source = value;
    if (name == "ce_type") event.type = value;
    if (name == "ce_time") {
      auto time = ParseTime(value);
      if (!time) return Fail(time.error(), "header ce_time");
      event.time_ns = *time;
    }
  }
  if (version != "1.0") {
    return Fail(ErrorCode::kCorrupt, "header ce_specversion is '" + std::string(version) +
                                         "', expected 1.0 (CloudEvents binary mode)");
  }
  if (event.id.empty() || event.source.empty() || event.type.empty()) {
    return Fail(ErrorCode::kCorrupt, "one of the headers ce_id, ce_source, ce_type is missing");
  }
  return event;
}

std::string FormatTime(uint64_t unix_ns) {
  const std::chrono::sys_seconds seconds{std::chrono::seconds(unix_ns / kNsPerSecond)};
  const auto day = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{seconds - day};
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%09uZ", int(date.year()),
                unsigned(date.month()), unsigned(date.day()), int(clock.hours().count()),
                int(clock.minutes().count()), int(clock.seconds().count()),
                unsigned(unix_ns % kNsPerSecond));
  return text;
}

Expected<uint64_t> ParseTime(std::string_view text) {
  unsigned year, month, day, hour, minute, second, ns = 0;
  const auto bad = [&] {
    return Fail(ErrorCode::kCorrupt, "'" + std::string(text.substr(0, 64)) +
                                         "' is not an RFC 3339 time in UTC after 1970");
  };
  if (!ReadDigits(text, 0, 4, &year) || !ReadDigits(text, 5, 2, &month) ||
      !ReadDigits(text, 8, 2, &day) || !ReadDigits(text, 11, 2, &hour) ||
      !ReadDigits(text, 14, 2, &minute) || !ReadDigits(text, 17, 2, &second) || text[4] != '-' ||
      text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':') {
    return bad();
  }
  size_t pos = 19;
  if (pos < text.size() && text[pos] == '.') {
    unsigned scale = 100'000'000;
    for (++pos; pos < text.size() && text[pos] >= '0' && text[pos] <= '9'; ++pos) {
      ns += unsigned(text[pos] - '0') * scale;
      scale /= 10;
    }
  }
  const std::chrono::year_month_day date{std::chrono::year(int(year)), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (text.substr(pos) != "Z" || !date.ok() || year < 1970 || year > 2261 || hour > 23 ||
      minute > 59 || second > 60) {
    return bad();
  }
  const auto since = std::chrono::sys_days(date).time_since_epoch() + std::chrono::hours(hour) +
                     std::chrono::minutes(minute) + std::chrono::seconds(second);
  return uint64_t(std::chrono::duration_cast<std::chrono::seconds>(since).count()) * kNsPerSecond +
         ns;
}

}  // namespace edgeloop::events
