#include "core/node/node.h"

#include <algorithm>
#include <bit>

#include "core/model/workspace.h"

namespace edgeloop::node {
namespace {

// Each part of the workspace starts aligned.
constexpr std::size_t Padded(std::size_t bytes) {
  return (bytes + model::kWorkspaceAlignment - 1) / model::kWorkspaceAlignment *
         model::kWorkspaceAlignment;
}

std::size_t SampleCount(const model::Model& model) {
  return std::size_t{model.window()} * model.channels();
}

}  // namespace

std::size_t Node::WorkspaceBytes(const model::Model& model) {
  return Padded(SampleCount(model) * sizeof(float)) +
         Padded(model.feature_count() * sizeof(float)) + Padded(model.workspace_bytes());
}

core::Code Node::Create(const model::Model& model, std::span<std::byte> workspace, Node* out) {
  if (model.window() == 0) return core::Code::kBadSize;
  const std::size_t floats_of_all = WorkspaceBytes(model) / sizeof(float);
  const std::span<float> all = model::AsFloats(workspace, floats_of_all);
  if (all.empty()) return core::Code::kBadWorkspace;
  Node node;
  node.model_ = model;
  node.samples_ = all.first(SampleCount(model));
  const std::size_t features_at = Padded(node.samples_.size_bytes());
  node.features_ = all.subspan(features_at / sizeof(float), model.feature_count());
  node.scratch_ = workspace.subspan(features_at + Padded(node.features_.size_bytes()),
                                    Padded(model.workspace_bytes()));
  *out = node;
  return core::Code::kOk;
}

std::size_t Node::Push(std::span<const float> frames, WindowResult* result, bool* done) {
  *done = false;
  const std::size_t channels = model_.channels();
  if (channels == 0) return 0;
  const std::size_t window = model_.window();
  if (fill_frames_ == window) {  // the overlap of the window that completed last time
    std::copy(samples_.begin() + static_cast<std::ptrdiff_t>(model_.hop() * channels),
              samples_.end(), samples_.begin());
    fill_frames_ = window - model_.hop();
  }
  const std::size_t taken = std::min(frames.size() / channels, window - fill_frames_);
  std::copy_n(frames.begin(), taken * channels,
              samples_.begin() + static_cast<std::ptrdiff_t>(fill_frames_ * channels));
  fill_frames_ += taken;
  if (fill_frames_ < window) return taken;

  *done = true;
  *result = {.window_index = next_index_++, .samples = samples_};
  result->code = model_.Features(samples_, scratch_, features_);
  if (result->code == core::Code::kOk) {
    result->features = features_;
    result->code = model_.Score(features_, scratch_, &result->score);
  }
  Decide(result);
  return taken;
}

void Node::Decide(WindowResult* result) {
  const model::DecisionParams& decision = model_.decision();
  if (result->code == core::Code::kOk) {
    alarm_ = result->score >= (alarm_ ? decision.alarm_off : decision.alarm_on);
    const std::uint64_t mask = ~std::uint64_t{0} >> (model::kMaxTripWindow - decision.trip_window);
    alarm_history_ = ((alarm_history_ << 1) | (alarm_ ? 1U : 0U)) & mask;
    const bool trip = std::popcount(alarm_history_) >= decision.trip_count;
    result->trip_edge = trip && !tripped_;
    tripped_ = tripped_ || trip;
  }
  result->alarm = alarm_;
  result->trip = tripped_;
  result->open_contactor = tripped_ && decision.action == model::Action::kOpenContactor;
}

void Node::Reset() {
  fill_frames_ = 0;
  alarm_history_ = 0;
  alarm_ = false;
}

void Node::ClearTrip() {
  tripped_ = false;
  alarm_history_ = 0;
  alarm_ = false;
}

}  // namespace edgeloop::node
