#include "platform/services/bridge/ledger.h"

#include <algorithm>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"

namespace edgeloop::bridge {
namespace {

// Gaps that still wait for their LOSS record; the oldest beyond that stay unexplained.
constexpr size_t kMaxOpenGaps = 64;

}  // namespace

Ledger::Ledger(Recovered recovered) : offsets_(std::move(recovered.telemetry_offsets)) {
  for (const auto& [name, position] : recovered.devices) {
    Device& device = devices_[name];
    device.taken = position;
    device.after_seq = position.seq;
    device.counts.durable = position;
  }
}

Ledger::Device& Ledger::At(std::string_view device) {
  const auto found = devices_.find(device);
  return found != devices_.end() ? found->second : devices_[std::string(device)];
}

Birth Ledger::Born(std::string_view name, uint64_t boot, const sparkplug::DeviceState& state) {
  const std::lock_guard lock(mutex_);
  Device& device = At(name);
  device.counts.state = state;
  device.refused = boot < device.taken.boot;
  if (device.refused) return Birth::kRegressed;
  const bool is_new = device.taken == RecordPosition{};
  if (is_new) {
    // What it was told to be durable has left its store. For us it starts after that.
    device.taken.seq = device.after_seq = state.acked_seq;
    return state.acked_seq == 0 ? Birth::kGoesOn : Birth::kRebased;
  }
  if (boot > device.taken.boot && state.produced < device.taken.seq) {
    device.after_seq = state.acked_seq;
    return Birth::kRestarted;
  }
  if (state.acked_seq > device.after_seq) {
    device.after_seq = state.acked_seq;
    return Birth::kRebased;
  }
  return Birth::kGoesOn;
}

void Ledger::SetState(std::string_view name, const sparkplug::DeviceState& state) {
  const std::lock_guard lock(mutex_);
  At(name).counts.state = state;
}

Verdict Ledger::Judge(std::string_view name, RecordPosition position, uint64_t previous_seq) {
  const std::lock_guard lock(mutex_);
  Device& device = At(name);
  if (device.refused) return Verdict::kRefused;
  if (position <= device.taken) {
    ++device.counts.duplicates;
    // It would not have come again had the device heard of its durability.
    if (position <= device.counts.durable && !device.ack_due) {
      device.ack_due = true;
      ++acks_due_;
    }
    device.after_seq = std::max<uint64_t>(device.after_seq, position.seq);
    return Verdict::kDuplicate;
  }
  return previous_seq <= device.after_seq ? Verdict::kNext : Verdict::kAhead;
}

Ledger::Taken Ledger::Take(const v1::TelemetryRecord& record) {
  const std::lock_guard lock(mutex_);
  Device& device = At(record.device());
  Taken result;
  const uint64_t last = device.taken.seq;
  // A seq that is not greater belongs to a numbering begun anew: no gap can be told.
  if (record.seq() > last + 1) {
    result.gap = record.seq() - last - 1;
    device.counts.gaps += result.gap;
    device.gaps.push_back({last + 1, record.seq() - 1, result.gap});
    if (device.gaps.size() > kMaxOpenGaps) device.gaps.pop_front();
  }
  if (record.has_loss()) {
    const v1::Loss& loss = record.loss();
    uint64_t lost = loss.raw() + loss.features() + loss.alarms();
    for (Gap& gap : device.gaps) {
      if (gap.last < loss.first_seq() || gap.first > loss.last_seq()) continue;
      const uint64_t common =
          std::min<uint64_t>(gap.last, loss.last_seq()) - std::max(gap.first, loss.first_seq()) + 1;
      const uint64_t explained = std::min({gap.open, common, lost});
      gap.open -= explained;
      lost -= explained;
      result.explained += explained;
    }
    device.counts.explained += result.explained;
    std::erase_if(device.gaps, [](const Gap& gap) { return gap.open == 0; });
  }
  device.taken = {record.boot(), record.seq()};
  device.after_seq = record.seq();
  ++device.counts.records;
  return result;
}

void Ledger::Durable(std::string_view name, RecordPosition position, int32_t partition,
                     int64_t offset) {
  const std::lock_guard lock(mutex_);
  Device& device = At(name);
  device.counts.durable = position;
  if (!device.ack_due) {
    device.ack_due = true;
    ++acks_due_;
  }
  offsets_[partition] = offset + 1;
  changed_ = true;
}

std::vector<Ledger::Ack> Ledger::DueAcks() {
  const std::lock_guard lock(mutex_);
  std::vector<Ack> due;
  due.reserve(acks_due_);
  for (auto& [name, device] : devices_) {
    if (!device.ack_due) continue;
    device.ack_due = false;
    due.push_back({name, device.counts.durable});
  }
  acks_due_ = 0;
  return due;
}

bool Ledger::HasDueAcks() const {
  const std::lock_guard lock(mutex_);
  return acks_due_ != 0;
}

bool Ledger::Checkpoint(v1::Positions* positions) {
  const std::lock_guard lock(mutex_);
  if (!changed_) return false;
  changed_ = false;
  for (const auto& [name, device] : devices_) {
    if (device.counts.durable == RecordPosition{}) continue;
    v1::Positions::Device& out = (*positions->mutable_devices())[name];
    out.set_boot(device.counts.durable.boot);
    out.set_seq(device.counts.durable.seq);
  }
  for (const auto& [partition, offset] : offsets_) {
    (*positions->mutable_telemetry_offsets())[partition] = offset;
  }
  return true;
}

void Ledger::CheckpointFailed() {
  const std::lock_guard lock(mutex_);
  changed_ = true;
}

std::map<std::string, DeviceCounts> Ledger::Counts() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, DeviceCounts> counts;
  for (const auto& [name, device] : devices_) counts.emplace(name, device.counts);
  return counts;
}

}  // namespace edgeloop::bridge
