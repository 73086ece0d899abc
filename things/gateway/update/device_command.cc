#include "things/gateway/update/device_command.h"

#include <algorithm>
#include <utility>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::gateway {
namespace {

constexpr size_t kResetsKept = 64;
constexpr size_t kMaxSignatureBytes = 256;
constexpr size_t kMaxKeyIdLength = 128;

// Ids go into files, logs and records: printable ASCII without control characters.
bool IsPlain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

Expected<DeviceCommand> DecodeCommand(std::string_view bytes, const DeviceId& device) {
  if (bytes.size() > kMaxCommandBytes) {
    return Fail(ErrorCode::kResourceExhausted, "command of " + std::to_string(bytes.size()) +
                                                   " bytes, the limit is " +
                                                   std::to_string(kMaxCommandBytes));
  }
  v1::Command command;
  if (!command.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Fail(ErrorCode::kCorrupt, "command is not an edgeloop.v1.Command");
  }
  const std::string& id = command.command_id();
  if (id.empty() || id.size() > kMaxCommandIdLength || !IsPlain(id)) {
    return Fail(ErrorCode::kInvalidArgument, "command_id is not 1 to 128 printable characters");
  }
  if (command.device() != device.text()) {
    return Fail(ErrorCode::kInvalidArgument, "command " + id + " is for another device");
  }
  if (command.has_reset_contactor()) return ResetRequest{id};
  if (!command.has_update_model()) {
    return Fail(ErrorCode::kInvalidArgument, "command " + id + " asks for nothing known here");
  }
  const v1::UpdateModel& update = command.update_model();
  if (update.signature().size() > kMaxSignatureBytes || update.key_id().size() > kMaxKeyIdLength ||
      update.name().size() > kMaxIdLength || update.digest().size() > 80 ||
      !IsPlain(update.key_id()) || !IsPlain(update.name()) || !IsPlain(update.digest())) {
    return Fail(ErrorCode::kInvalidArgument, "command " + id + " has a field that cannot be one");
  }
  return UpdateRequest{.command_id = id,
                       .model = {update.name(), update.version(), update.digest(), update.size()},
                       .signature = {update.signature().begin(), update.signature().end()},
                       .key_id = update.key_id()};
}

Expected<ResetLog> ResetLog::Load(fs::FileSystem& fs, std::string path) {
  ResetLog log(fs, std::move(path));
  auto bytes = fs::ReadFile(fs, log.path_, kResetsKept * (kMaxCommandIdLength + 1));
  if (!bytes && bytes.error().code() != ErrorCode::kNotFound) return Fail(bytes.error());
  if (!bytes) return log;
  std::string line;
  for (const uint8_t c : *bytes) {
    if (c != '\n') {
      line += static_cast<char>(c);
    } else {
      log.done_.push_back(std::exchange(line, {}));
    }
  }
  return log;
}

bool ResetLog::Done(std::string_view command_id) const {
  return std::ranges::find(done_, command_id) != done_.end();
}

Status ResetLog::Add(std::string command_id) {
  done_.push_back(std::move(command_id));
  if (done_.size() > kResetsKept) done_.erase(done_.begin());
  std::string text;
  for (const std::string& id : done_) text += id + "\n";
  return fs::WriteFileAtomically(*fs_, path_,
                                 {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace edgeloop::gateway
