#include "contracts/ids/ids.h"

#include <algorithm>

namespace edgeloop {

bool IsValidId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdLength && std::ranges::all_of(id, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

Expected<DeviceId> DeviceId::Create(std::string_view gateway, std::string_view device) {
  for (std::string_view id : {gateway, device}) {
    if (!IsValidId(id)) {
      return Fail(ErrorCode::kInvalidArgument, "id '" + std::string(id.substr(0, 64)) +
                                                   "' is not 1 to 48 characters of a-z, 0-9, '-'");
    }
  }
  DeviceId result;
  result.text_ = std::string(gateway) + "/" + std::string(device);
  result.slash_ = gateway.size();
  return result;
}

Expected<DeviceId> DeviceId::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return Fail(ErrorCode::kInvalidArgument,
                "device '" + std::string(text.substr(0, 100)) + "' is not '<gateway>/<device>'");
  }
  return Create(text.substr(0, slash), text.substr(slash + 1));
}

}  // namespace edgeloop
