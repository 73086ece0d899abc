// The names of things, checked once at the edge so that the inside may trust them.
#pragma once

#include <string>
#include <string_view>

#include "contracts/error/error.h"

namespace edgeloop {

inline constexpr size_t kMaxIdLength = 48;

// An id is 1..48 characters of [a-z0-9-]: safe as certificate CN, MQTT topic level, file name and
// ACL pattern ('/', '+' and '#' would widen an MQTT ACL).
bool IsValidId(std::string_view id);

// A device within the fleet: "<gateway>/<device>", e.g. "gw-01/motor-01".
class DeviceId {
 public:
  DeviceId() = default;
  static Expected<DeviceId> Create(std::string_view gateway, std::string_view device);
  static Expected<DeviceId> Parse(std::string_view text);

  std::string_view gateway() const { return std::string_view(text_).substr(0, slash_); }
  std::string_view device() const { return std::string_view(text_).substr(slash_ + 1); }
  const std::string& text() const { return text_; }

  friend bool operator==(const DeviceId&, const DeviceId&) = default;
  friend auto operator<=>(const DeviceId& a, const DeviceId& b) { return a.text_ <=> b.text_; }

 private:
  std::string text_;
  size_t slash_ = 0;
};

// The place of a record in what one device has made. Ordered by boot, then seq.
struct RecordPosition {
  unsigned long long boot = 0;
  unsigned long long seq = 0;
  friend auto operator<=>(const RecordPosition&, const RecordPosition&) = default;
};

}  // namespace edgeloop
