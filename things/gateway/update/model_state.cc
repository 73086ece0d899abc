#include "things/gateway/update/model_state.h"

#include <nlohmann/json.hpp>

#include "runtime/signing/signing.h"

namespace edgeloop::gateway {
namespace {

using nlohmann::json;

json ToJson(const ModelRef& model) {
  return {{"name", model.name},
          {"version", model.version},
          {"digest", model.digest},
          {"size_bytes", model.size_bytes}};
}

ModelRef ModelFrom(const json& j) {
  return {j.at("name"), j.at("version"), j.at("digest"), j.at("size_bytes")};
}

std::span<const uint8_t> BytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

}  // namespace

std::string EncodeModelState(const ModelState& state) {
  json j = {{"format", 1}, {"answers", json::array()}};
  if (state.confirmed) {
    j["confirmed"] = {{"slot", state.confirmed->slot}, {"model", ToJson(state.confirmed->model)}};
  }
  if (state.update) {
    const UpdateRequest& request = state.update->request;
    j["update"] = {{"trial", state.update->trial},
                   {"interruptions", state.update->interruptions},
                   {"command_id", request.command_id},
                   {"model", ToJson(request.model)},
                   {"signature", signing::Base64Encode(request.signature)},
                   {"key_id", request.key_id}};
  }
  for (const UpdateAnswer& answer : state.answers) {
    j["answers"].push_back({{"command_id", answer.command_id},
                            {"event_type", answer.event_type},
                            {"digest", answer.digest},
                            {"version", answer.version},
                            {"reason", answer.reason}});
  }
  return j.dump(1, ' ', false, json::error_handler_t::replace);
}

Expected<ModelState> DecodeModelState(std::string_view text) {
  try {
    const json j = json::parse(text);
    if (j.at("format") != 1) return Fail(ErrorCode::kCorrupt, "model state: unknown format");
    ModelState state;
    if (j.contains("confirmed")) {
      const json& confirmed = j.at("confirmed");
      state.confirmed = ConfirmedModel{confirmed.at("slot"), ModelFrom(confirmed.at("model"))};
      if (state.confirmed->slot != 0 && state.confirmed->slot != 1) {
        return Fail(ErrorCode::kCorrupt, "model state: slot is neither 0 nor 1");
      }
    }
    if (j.contains("update")) {
      const json& update = j.at("update");
      auto signature = signing::Base64Decode(update.at("signature").get<std::string>());
      if (!signature) return Fail(signature.error(), "model state");
      state.update =
          UpdateInProgress{.request = {update.at("command_id"), ModelFrom(update.at("model")),
                                       std::move(*signature), update.at("key_id")},
                           .trial = update.at("trial"),
                           .interruptions = update.at("interruptions")};
    }
    for (const json& answer : j.at("answers")) {
      state.answers.push_back({answer.at("command_id"), answer.at("event_type"),
                               answer.at("digest"), answer.at("version"), answer.at("reason")});
    }
    return state;
  } catch (const json::exception& e) {
    return Fail(ErrorCode::kCorrupt, std::string("model state: ") + e.what());
  }
}

std::string ModelSlots::SlotPath(int slot) const {
  return dir_ + (slot == 0 ? "/slot-a.elm" : "/slot-b.elm");
}

Expected<ModelState> ModelSlots::Load() {
  if (Status status = fs_.MakeDirs(dir_); !status) return Fail(status.error());
  const std::string path = dir_ + "/state.json";
  auto bytes = fs::ReadFile(fs_, path, kMaxStateBytes);
  if (!bytes) {
    if (bytes.error().code() == ErrorCode::kNotFound) return ModelState{};
    return Fail(bytes.error());
  }
  auto state = DecodeModelState({reinterpret_cast<const char*>(bytes->data()), bytes->size()});
  if (!state) return Fail(state.error(), path);
  return state;
}

Status ModelSlots::Save(const ModelState& state) {
  return fs::WriteFileAtomically(fs_, dir_ + "/state.json", BytesOf(EncodeModelState(state)));
}

Status ModelSlots::WriteSlot(int slot, std::span<const uint8_t> bytes) {
  return fs::WriteFileAtomically(fs_, SlotPath(slot), bytes);
}

Expected<std::vector<uint8_t>> ModelSlots::ReadSlot(int slot, std::string_view digest) {
  auto bytes = fs::ReadFile(fs_, SlotPath(slot), kMaxModelBytes);
  if (!bytes) return Fail(bytes.error());
  if (signing::Sha256Digest(*bytes) != digest) {
    return Fail(ErrorCode::kCorrupt,
                SlotPath(slot) + " is damaged: its digest is not " + std::string(digest));
  }
  return bytes;
}

}  // namespace edgeloop::gateway
