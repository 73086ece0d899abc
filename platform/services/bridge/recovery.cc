#include "platform/services/bridge/recovery.h"

#include <algorithm>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/topics/topics.h"
#include "runtime/log/log.h"

namespace edgeloop::bridge {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Reads the given ranges to their ends as they are now, each record once.
class Tail {
 public:
  Tail(kafka::Consumer& consumer, milliseconds patience)
      : consumer_(consumer), patience_(patience) {}

  // From `from`, or from where the partition begins now if that is later.
  Status Add(std::string_view topic, int32_t partition, int64_t from) {
    auto marks = consumer_.QueryWatermarks(topic, partition, patience_);
    if (!marks) return Fail(marks.error());
    from = std::max(from, marks->low);
    if (from >= marks->high) return {};
    assignments_.push_back({std::string(topic), partition, from});
    ends_[partition] = marks->high;
    return {};
  }

  Status Read(const std::function<void(const kafka::Record&)>& each) {
    if (assignments_.empty()) return {};
    if (auto ok = consumer_.Assign(assignments_); !ok) return ok;
    auto deadline = steady_clock::now() + patience_;
    while (!ends_.empty()) {
      auto record = consumer_.Poll(milliseconds(200));
      if (!record) return Fail(record.error());
      if (!record->has_value()) {
        if (steady_clock::now() > deadline) {
          return Fail(ErrorCode::kTimeout, "the stream gives no records");
        }
        continue;
      }
      deadline = steady_clock::now() + patience_;
      each(**record);
      const auto end = ends_.find((*record)->partition);
      if (end != ends_.end() && (*record)->offset + 1 >= end->second) ends_.erase(end);
    }
    return {};
  }

 private:
  kafka::Consumer& consumer_;
  const milliseconds patience_;
  std::vector<kafka::Consumer::Assignment> assignments_;
  std::map<int32_t, int64_t> ends_;
};

}  // namespace

Expected<Recovered> Recover(const kafka::ConnectionOptions& stream, milliseconds patience) {
  auto admin = kafka::Admin::Create(stream);
  if (!admin) return Fail(admin.error());
  auto topics = (*admin)->ListTopics(patience);
  if (!topics) return Fail(topics.error(), "topics of the stream");
  const auto telemetry = std::ranges::find(*topics, topics::kTelemetry, &kafka::TopicInfo::name);
  if (telemetry == topics->end()) return Fail(ErrorCode::kNotFound, "no topic edgeloop.telemetry");

  auto consumer = kafka::Consumer::Create({.connection = stream, .group = ""});
  if (!consumer) return Fail(consumer.error());
  Recovered recovered;
  Tail positions(**consumer, patience);
  auto marks = (*consumer)->QueryWatermarks(topics::kPositions, 0, patience);
  if (!marks) return Fail(marks.error(), "edgeloop.positions");
  if (auto ok = positions.Add(topics::kPositions, 0, marks->high - 1); !ok) return Fail(ok.error());
  auto ok = positions.Read([&](const kafka::Record& record) {
    v1::Positions message;
    if (!message.ParseFromString(record.value)) {
      log::Warning("positions do not parse, telemetry is read from its beginning", {});
      return;
    }
    for (const auto& [name, device] : message.devices()) {
      recovered.devices[name] = {device.boot(), device.seq()};
    }
    for (const auto& [partition, offset] : message.telemetry_offsets()) {
      recovered.telemetry_offsets[partition] = offset;
    }
  });
  if (!ok) return Fail(ok.error(), "edgeloop.positions");

  Tail tail(**consumer, patience);
  for (int32_t partition = 0; partition < telemetry->partitions; ++partition) {
    if (auto added =
            tail.Add(topics::kTelemetry, partition, recovered.telemetry_offsets[partition]);
        !added) {
      return Fail(added.error(), "edgeloop.telemetry");
    }
  }
  uint64_t replayed = 0;
  ok = tail.Read([&](const kafka::Record& record) {
    ++replayed;
    recovered.telemetry_offsets[record.partition] = record.offset + 1;
    v1::TelemetryRecord message;
    if (!message.ParseFromString(record.value) || message.device().empty()) return;
    RecordPosition& position = recovered.devices[message.device()];
    position = std::max(position, RecordPosition{message.boot(), message.seq()});
  });
  if (!ok) return Fail(ok.error(), "edgeloop.telemetry");
  log::Info("positions recovered",
            {{"devices", recovered.devices.size()}, {"records_replayed", replayed}});
  return recovered;
}

}  // namespace edgeloop::bridge
