// Level-1 loop of a device: samples -> windows -> features -> score -> alarm -> trip, on one static
// workspace. The same code runs in the firmware and in the gateway.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/result.h"
#include "core/model/model.h"

namespace edgeloop::node {

// One completed window. The spans point into the workspace and last until the next Push().
struct WindowResult {
  std::uint64_t window_index = 0;     // 0, 1, ... since Create(); goes on over Reset()
  core::Code code = core::Code::kOk;  // kNotFinite: a sensor glitch; score 0, decision unchanged
  std::span<const float> samples;     // interleaved, window * channels
  std::span<const float> features;    // empty when they could not be computed
  float score = 0;
  bool alarm = false;
  bool trip = false;            // the latch: stays until ClearTrip()
  bool trip_edge = false;       // the latch closed with this very window
  bool open_contactor = false;  // trip, and the model's action is to open the contactor
};

class Node {
 public:
  // Workspace that Create() needs for this model, aligned to 16 bytes.
  static std::size_t WorkspaceBytes(const model::Model& model);

  // The model's bytes and the workspace must outlive the node (the Model itself is copied).
  static core::Code Create(const model::Model& model, std::span<std::byte> workspace, Node* out);

  Node() = default;

  const model::Model& model() const { return model_; }
  bool tripped() const { return tripped_; }

  // Takes frames (interleaved, a whole number of frames of `channels` floats) until a window
  // completes or the block is used up; returns the number of frames taken. When a window completed,
  // *done is true and *result describes it: call again with the rest of the block.
  std::size_t Push(std::span<const float> frames, WindowResult* result, bool* done);

  // Forgets the partial window, the overlap and the decision state, but not the latch.
  void Reset();

  // Opens the latch; trips again only on new alarming windows.
  void ClearTrip();

  // Closes the latch without evidence: carries it over a model change or a restart.
  void LatchTrip() { tripped_ = true; }

 private:
  void Decide(WindowResult* result);

  model::Model model_;
  std::span<float> samples_;  // window * channels, oldest first
  std::span<float> features_;
  std::span<std::byte> scratch_;
  std::uint64_t next_index_ = 0;
  std::uint64_t alarm_history_ = 0;  // bit 0: newest window
  std::size_t fill_frames_ = 0;      // frames of samples_ in use
  bool alarm_ = false;
  bool tripped_ = false;
};

}  // namespace edgeloop::node
