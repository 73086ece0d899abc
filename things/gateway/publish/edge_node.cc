#include "things/gateway/publish/edge_node.h"

#include <algorithm>
#include <utility>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "runtime/log/log.h"

namespace edgeloop::gateway {
namespace {

constexpr size_t kMaxInbox = 1'024;
constexpr size_t kRecordsPerRead = 64;
constexpr size_t kBytesPerRead = 256u << 10;
constexpr std::chrono::seconds kStateEvery{5};

uint64_t NowMs() {
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                   std::chrono::system_clock::now().time_since_epoch())
                                   .count());
}

// What the store keeps, as the message it stands for.
Expected<v1::TelemetryRecord> RecordOf(const StoredRecord& stored) {
  v1::TelemetryRecord record;
  if (stored.kind == Kind::kLoss) {
    auto loss = DecodeLoss(stored.payload);
    if (!loss) return Fail(loss.error());
    record.set_sensed_at_ns(loss->at_ns);
    v1::Loss& out = *record.mutable_loss();
    out.set_first_seq(loss->first_seq);
    out.set_last_seq(loss->last_seq);
    out.set_raw(loss->counts.raw);
    out.set_features(loss->counts.features);
    out.set_alarms(loss->counts.alarms);
  } else if (!record.ParseFromString(stored.payload)) {
    return Fail(ErrorCode::kCorrupt, "is not an edgeloop.v1.TelemetryRecord");
  }
  record.set_boot(stored.position.boot);
  record.set_seq(stored.position.seq);
  record.set_kind(static_cast<v1::RecordKind>(stored.kind));
  return record;
}

}  // namespace

Expected<std::unique_ptr<EdgeNode>> EdgeNode::Create(Options options, FeatureSets& feature_sets,
                                                     metrics::Registry& metrics) {
  std::unique_ptr<EdgeNode> node(new EdgeNode(std::move(options), feature_sets, metrics));
  node->connected_gauge_ = metrics.AddGauge("edgeloop_mqtt_connected", "1 when connected.");
  node->connected_gauge_.Set(0);
  node->flush_failures_ = metrics.AddCounter("edgeloop_store_flush_failures_total",
                                             "Writes of a record store that have to be repeated.");
  if (Status status = node->Connect(); !status) return Fail(status.error());
  return node;
}

Status EdgeNode::Connect() {
  mqtt::Client::Options connection;
  connection.host = options_.mqtt_host;
  connection.port = options_.mqtt_port;
  connection.tls = options_.tls;
  connection.client_id = options_.gateway_id;
  connection.max_payload_bytes = sparkplug::kMaxPayloadBytes;
  connection.will = [this, first = true]() mutable -> std::optional<mqtt::Will> {
    if (!std::exchange(first, false)) bd_seq_ = (bd_seq_ + 1) % 256;
    return mqtt::Will{.topic = TopicOf(sparkplug::MessageType::kNodeDeath, nullptr),
                      .payload = sparkplug::NodeDeath(bd_seq_, NowMs())};
  };
  connection.on_connected = [this] {
    connected_ = true;
    connected_gauge_.Set(1);
    std::lock_guard lock(mutex_);
    births_wanted_ = true;
    wake_.notify_all();
  };
  connection.on_disconnected = [this](std::string_view reason) {
    connected_ = false;
    connected_gauge_.Set(0);
    log::Warning("mqtt connection lost", {{"reason", reason}});
  };
  connection.on_message = [this](std::string_view topic, std::string_view payload) {
    OnMessage(topic, payload);
  };
  auto client = mqtt::Client::Create(std::move(connection));
  if (!client) return Fail(client.error());
  client_ = std::move(*client);
  return {};
}

EdgeNode::~EdgeNode() { Stop(); }

Status EdgeNode::AddDevice(Device device) {
  auto uplink = std::make_unique<Uplink>();
  uplink->first_alias = 1 + devices_.size() * sparkplug::kAliasesPerDevice;
  auto encoder = sparkplug::RecordEncoder::Create(uplink->first_alias, device.feature_names);
  if (!encoder) return Fail(encoder.error(), device.id.text());
  uplink->encoder = std::move(*encoder);
  const StoreStats stats = device.store->stats();
  uplink->window.Rewind(stats.acked_seq);
  uplink->metered = stats;
  const metrics::Labels labels = {{"device", std::string(device.id.device())}};
  const auto counter = [&](const char* name, const char* help) {
    return metrics_.AddCounter(name, help, labels);
  };
  const auto dropped = [&](const char* kind) {
    metrics::Labels with_kind = labels;
    with_kind["kind"] = kind;
    return metrics_.AddCounter("edgeloop_records_dropped_total",
                               "Records a full store had to give up.", with_kind);
  };
  uplink->produced = counter("edgeloop_records_produced_total", "Records made.");
  uplink->acked = counter("edgeloop_records_acked_total", "Records durable in the stream.");
  uplink->dropped_raw = dropped("raw");
  uplink->dropped_features = dropped("features");
  uplink->dropped_alarms = dropped("alarms");
  uplink->resent_total = counter("edgeloop_records_resent_total", "Records sent more than once.");
  uplink->pending =
      metrics_.AddGauge("edgeloop_store_pending", "Records not acknowledged.", labels);
  uplink->disk_bytes = metrics_.AddGauge("edgeloop_store_bytes", "Size of the store.", labels);
  uplink->device = std::move(device);
  devices_.push_back(std::move(uplink));
  return {};
}

Status EdgeNode::Start() {
  thread_ = std::thread([this] { Run(); });
  return client_->Start();
}

void EdgeNode::Stop() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  for (auto& uplink : devices_) {
    if (Status status = uplink->device.store->Close(); !status) {
      log::Error("record store not closed cleanly", {{"error", status.error().message()}});
    }
    if (connected_ && !births_wanted_) {
      (void)Send(*uplink);
      (void)client_->Publish(TopicOf(sparkplug::MessageType::kDeviceDeath, uplink.get()),
                             sparkplug::DeviceDeath(sequence_.Next(), NowMs()), 0);
    }
  }
  if (connected_) {
    // A clean disconnect cancels the will: say it ourselves.
    (void)client_->Publish(TopicOf(sparkplug::MessageType::kNodeDeath, nullptr),
                           sparkplug::NodeDeath(bd_seq_, NowMs()), 1);
  }
  client_->Stop();
}

void EdgeNode::Wake(bool at_once) {
  std::lock_guard lock(mutex_);
  if (at_once) {
    flush_now_ = true;
  } else if (flush_at_ == Clock::time_point::max()) {
    flush_at_ = Clock::now() + std::chrono::milliseconds(options_.sync_interval_ms);
  } else {
    return;  // a flush is coming
  }
  wake_.notify_all();
}

void EdgeNode::OnMessage(std::string_view topic_text, std::string_view payload) {
  const auto refuse = [&](const Error& error) {
    log::Warning("message refused",
                 {{"topic", topic_text.substr(0, 200)}, {"error", error.message()}});
  };
  auto topic = sparkplug::ParseTopic(topic_text);
  if (!topic) return refuse(topic.error());
  if (topic->node != options_.gateway_id) return;
  if (topic->type == sparkplug::MessageType::kNodeCommand) {
    auto rebirth = sparkplug::IsRebirthRequest(payload);
    if (!rebirth) return refuse(rebirth.error());
    if (!*rebirth) return;
    std::lock_guard lock(mutex_);
    births_wanted_ = true;
    wake_.notify_all();
    return;
  }
  if (topic->type != sparkplug::MessageType::kDeviceCommand) return;
  const auto device = std::ranges::find_if(
      devices_, [&](const auto& d) { return d->device.id.device() == topic->device; });
  if (device == devices_.end()) return;
  auto instruction = sparkplug::ReadDeviceInstruction(payload);
  if (!instruction) return refuse(instruction.error());
  std::lock_guard lock(mutex_);
  // Acknowledgements are cumulative and commands are repeated: losing one costs time only.
  if (inbox_.size() >= kMaxInbox) return;
  inbox_.push_back({static_cast<size_t>(device - devices_.begin()), std::move(*instruction)});
  wake_.notify_all();
}

EdgeNode::Clock::time_point EdgeNode::NextDeadline() const {
  Clock::time_point deadline = flush_at_;
  if (connected_) {
    for (const auto& uplink : devices_) deadline = std::min(deadline, uplink->window.resend_at());
  }
  return deadline;
}

void EdgeNode::Run() {
  bool born = false;
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const auto due = [this] {
      return stopping_ || flush_now_ || births_wanted_ || !inbox_.empty();
    };
    const Clock::time_point deadline = NextDeadline();
    if (deadline == Clock::time_point::max()) {
      // Also woken to learn of a flush that has come due.
      wake_.wait(lock, [&] { return due() || flush_at_ != Clock::time_point::max(); });
    } else {
      wake_.wait_until(lock, deadline, due);
    }
    const auto now = Clock::now();
    const bool flush = std::exchange(flush_now_, false) || now >= flush_at_;
    if (flush) flush_at_ = Clock::time_point::max();
    const bool births = std::exchange(births_wanted_, false);
    std::vector<Message> messages = std::exchange(inbox_, {});
    lock.unlock();

    for (Message& message : messages) Take(message);
    if (flush) FlushAll();
    if (births) born = Bear();
    for (auto& uplink : devices_) {
      if (born && connected_) {
        if (now >= uplink->window.resend_at()) {
          uplink->window.Rewind(uplink->device.store->stats().acked_seq);
          uplink->window.BackOff();
        }
        (void)Send(*uplink);
      }
      UpdateMeters(*uplink);
    }
    lock.lock();
  }
}

void EdgeNode::FlushAll() {
  for (auto& uplink : devices_) {
    if (Status status = uplink->device.store->Flush(); !status) {
      flush_failures_.Add();
      log::Error("record store not written, trying again",
                 {{"device", uplink->device.id.text()}, {"error", status.error().message()}});
      Wake(false);
    }
  }
}

void EdgeNode::Take(Message& message) {
  Uplink& uplink = *devices_[message.device];
  if (const auto& acknowledged = message.instruction.acknowledged) {
    RecordStore& store = *uplink.device.store;
    Status status = store.Acknowledge(*acknowledged);
    if (!status && !std::exchange(uplink.complained, true)) {
      log::Error("acknowledgement ignored", {{"error", status.error().message()}});
    }
    uplink.window.Acknowledged(store.stats().acked_seq, Clock::now());
    Wake(false);  // its position is written with the next flush
  }
  if (!message.instruction.command.empty()) uplink.device.on_command(message.instruction.command);
}

std::string EdgeNode::TopicOf(sparkplug::MessageType type, const Uplink* uplink) const {
  return sparkplug::FormatTopic(
      {.group = options_.group_id,
       .type = type,
       .node = options_.gateway_id,
       .device = uplink == nullptr ? "" : std::string(uplink->device.id.device())});
}

bool EdgeNode::Bear() {
  const std::string commands = TopicOf(sparkplug::MessageType::kNodeCommand, nullptr);
  if (!client_->Subscribe(commands, 1)) return false;
  for (const auto& uplink : devices_) {
    const auto topic = TopicOf(sparkplug::MessageType::kDeviceCommand, uplink.get());
    if (!client_->Subscribe(topic, 1)) return false;
  }
  sequence_.Reset();
  (void)sequence_.Next();  // the birth is number 0
  if (!client_->Publish(TopicOf(sparkplug::MessageType::kNodeBirth, nullptr),
                        sparkplug::NodeBirth(bd_seq_, NowMs()), 0)) {
    return false;
  }
  for (auto& uplink : devices_) {
    if (!BearDevice(*uplink)) return false;
    uplink->window.Rewind(uplink->device.store->stats().acked_seq);
  }
  return true;
}

bool EdgeNode::BearDevice(Uplink& uplink) {
  uplink.told = StateOf(uplink);
  uplink.told_at = Clock::now();
  const std::string birth =
      uplink.encoder->Birth(uplink.device.store->boot(), uplink.told, sequence_.Next(), NowMs());
  return client_->Publish(TopicOf(sparkplug::MessageType::kDeviceBirth, &uplink), birth, 0)
      .has_value();
}

sparkplug::DeviceState EdgeNode::StateOf(const Uplink& uplink) const {
  const StoreStats stats = uplink.device.store->stats();
  return {.model_state = uplink.device.model_state(),
          .pending = stats.produced - stats.acked_seq,
          .produced = stats.produced,
          .acked_seq = stats.acked_seq,
          .dropped_raw = stats.dropped.raw,
          .dropped_features = stats.dropped.features,
          .dropped_alarms = stats.dropped.alarms};
}

bool EdgeNode::Send(Uplink& uplink) {
  while (!uplink.window.full()) {
    std::vector<StoredRecord> records;
    const size_t most = std::min(kRecordsPerRead, uplink.window.free_records());
    Status status =
        uplink.device.store->Read(uplink.window.sent_seq(), most, kBytesPerRead, &records);
    if (!status) {
      log::Error("record store not readable", {{"error", status.error().message()}});
      return false;
    }
    if (records.empty()) return true;
    for (const StoredRecord& record : records) {
      if (!SendRecord(uplink, record)) return false;
    }
  }
  return true;
}

bool EdgeNode::SendRecord(Uplink& uplink, const StoredRecord& stored) {
  const uint64_t seq = stored.position.seq;
  const auto skip = [&](const Error& error) {
    log::Error("record cannot be sent",
               {{"device", uplink.device.id.text()}, {"seq", seq}, {"error", error.message()}});
    uplink.window.Skip(seq);
    return true;
  };
  auto record = RecordOf(stored);
  if (!record) return skip(record.error());
  if (record->features_size() > 0) {
    std::vector<std::string> names =
        feature_sets_.Find(record->model_digest(), static_cast<size_t>(record->features_size()));
    record->mutable_feature_names()->Assign(names.begin(), names.end());
    if (!uplink.encoder->Fits(*record)) {
      auto encoder = sparkplug::RecordEncoder::Create(uplink.first_alias, std::move(names));
      if (!encoder) return skip(encoder.error());
      uplink.encoder = std::move(*encoder);
      if (!BearDevice(uplink)) return false;
    }
  }
  const auto now = Clock::now();
  const bool again = uplink.window.WasSentBefore(seq);
  sparkplug::RecordEncoder::DataOptions options{
      .previous_seq = uplink.window.previous_seq(),
      .historical = again || stored.position.boot != uplink.device.store->boot(),
      .now_ms = NowMs()};
  sparkplug::DeviceState state;
  if (now >= uplink.told_at + kStateEvery ||
      uplink.device.model_state() != uplink.told.model_state) {
    state = StateOf(uplink);
    if (state != uplink.told) options.state = &state;
    uplink.told_at = now;
  }
  options.seq = sequence_.Next();
  auto data = uplink.encoder->Data(*record, options);
  if (!data) {
    // The number is taken: the receiver notices and asks for births, which is no harm.
    return skip(data.error());
  }
  if (!client_->Publish(TopicOf(sparkplug::MessageType::kDeviceData, &uplink), *data, 0)) {
    return false;  // after the reconnect everything is sent again
  }
  if (options.state != nullptr) uplink.told = state;
  if (again) {
    ++uplink.resent;
    uplink.resent_total.Add();
  }
  uplink.window.Sent(seq, data->size(), now);
  return true;
}

void EdgeNode::UpdateMeters(Uplink& uplink) {
  const StoreStats now = uplink.device.store->stats();
  const StoreStats& before = uplink.metered;
  const auto add = [](metrics::Counter& counter, uint64_t from, uint64_t to) {
    if (to > from) counter.Add(static_cast<double>(to - from));
  };
  add(uplink.produced, before.produced, now.produced);
  add(uplink.acked, before.acked_seq, now.acked_seq);
  add(uplink.dropped_raw, before.dropped.raw, now.dropped.raw);
  add(uplink.dropped_features, before.dropped.features, now.dropped.features);
  add(uplink.dropped_alarms, before.dropped.alarms, now.dropped.alarms);
  uplink.pending.Set(static_cast<double>(now.produced - now.acked_seq));
  uplink.disk_bytes.Set(static_cast<double>(now.disk_bytes));
  uplink.metered = now;
}

}  // namespace edgeloop::gateway
