// Commands from the stream, as they arrive in a DCMD: hostile bytes until checked here.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "contracts/error/error.h"
#include "contracts/ids/ids.h"
#include "runtime/fs/file_system.h"
#include "things/gateway/update/model_state.h"

namespace edgeloop::gateway {

inline constexpr size_t kMaxCommandBytes = 16u << 10;
inline constexpr size_t kMaxCommandIdLength = 128;

struct ResetRequest {
  std::string command_id;
};
using DeviceCommand = std::variant<ResetRequest, UpdateRequest>;

// kInvalidArgument when it is for another device or asks for what we do not know.
Expected<DeviceCommand> DecodeCommand(std::string_view bytes, const DeviceId& device);

// The resets already done, over restarts: a repeated command must not close the contactor again
// after a new trip.
class ResetLog {
 public:
  static Expected<ResetLog> Load(fs::FileSystem& fs, std::string path);
  bool Done(std::string_view command_id) const;
  Status Add(std::string command_id);

 private:
  ResetLog(fs::FileSystem& fs, std::string path) : fs_(&fs), path_(std::move(path)) {}
  fs::FileSystem* fs_;
  std::string path_;
  std::vector<std::string> done_;  // newest last
};

}  // namespace edgeloop::gateway
