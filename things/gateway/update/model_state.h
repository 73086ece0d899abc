// What a device must remember about its models over a kill: which slot is confirmed, which update
// is under way, and what was answered to commands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/error/error.h"
#include "contracts/ids/model_ref.h"
#include "runtime/fs/file_system.h"

namespace edgeloop::gateway {

// A model that a command wants installed. The signature has not been checked by having one of
// these.
struct UpdateRequest {
  std::string command_id;
  ModelRef model;
  std::vector<uint8_t> signature;
  std::string key_id;
};

struct UpdateInProgress {
  UpdateRequest request;
  bool trial = false;     // downloaded, verified, in the inactive slot; else still downloading
  int interruptions = 0;  // of the trial, by a restart
};

struct ConfirmedModel {
  int slot = 0;  // 0 or 1
  ModelRef model;
};

// The final word on one command.
struct UpdateAnswer {
  std::string command_id;
  int event_type = 0;  // edgeloop.v1.DeviceEvent.Type
  std::string digest;
  uint32_t version = 0;
  std::string reason;
};

struct ModelState {
  std::optional<ConfirmedModel> confirmed;  // none: the factory model
  std::optional<UpdateInProgress> update;
  std::vector<UpdateAnswer> answers;  // newest last

  int inactive_slot() const { return confirmed ? 1 - confirmed->slot : 0; }
};

inline constexpr size_t kMaxStateBytes = 1u << 20;
inline constexpr size_t kAnswersKept = 32;

std::string EncodeModelState(const ModelState& state);
Expected<ModelState> DecodeModelState(std::string_view text);

// <dir>/state.json, slot-a.elm, slot-b.elm; every write is atomic and durable.
class ModelSlots {
 public:
  ModelSlots(fs::FileSystem& fs, std::string dir) : fs_(fs), dir_(std::move(dir)) {}

  // A missing state is a new device.
  Expected<ModelState> Load();
  Status Save(const ModelState& state);
  Status WriteSlot(int slot, std::span<const uint8_t> bytes);
  // kCorrupt when the bytes are not those of `digest`.
  Expected<std::vector<uint8_t>> ReadSlot(int slot, std::string_view digest);

 private:
  std::string SlotPath(int slot) const;
  fs::FileSystem& fs_;
  std::string dir_;
};

}  // namespace edgeloop::gateway
