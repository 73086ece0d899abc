// edgeloop-mlops: see --help.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <thread>

#include "contracts/topics/topics.h"
#include "platform/mlops/pipeline/api.h"
#include "platform/mlops/pipeline/controller.h"
#include "runtime/kafka/kafka.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace {

using namespace edgeloop;
using namespace std::chrono_literals;

constexpr std::string_view kName = "edgeloop-mlops";
constexpr std::size_t kMaxBatch = 500;  // records of one transaction
constexpr auto kIdleWait = 500ms;       // for the next record
constexpr auto kRetryWait = 2s;         // after an error
constexpr auto kSendTimeout = 10s;
constexpr auto kTopicTimeout = 10s;

constexpr std::array kTopics = {topics::kTelemetry, topics::kLabels, topics::kCommands,
                                topics::kModels, topics::kPipelines};

std::int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

struct Metrics {
  explicit Metrics(metrics::Registry& registry)
      : records(registry.AddCounter("edgeloop_mlops_records_total", "Stream records taken")),
        errors(registry.AddCounter("edgeloop_mlops_errors_total", "Rounds given up and repeated")),
        windows(
            registry.AddGauge("edgeloop_mlops_windows", "Feature windows that wait for labels")),
        drifted(registry.AddGauge("edgeloop_mlops_drifted", "1 while the fleet has drifted")),
        champion(registry.AddGauge("edgeloop_mlops_champion_version", "Version of the champion")) {}
  metrics::Counter records;
  metrics::Counter errors;
  metrics::Gauge windows;
  metrics::Gauge drifted;
  metrics::Gauge champion;
};

// The controller's own thread.
class Loop {
 public:
  Loop(mlops::Controller& controller, const mlops::DaemonOptions& options, Metrics& metrics)
      : controller_(controller), metrics_(metrics) {
    connection_ = {
        .bootstrap = options.bootstrap, .tls = options.common.tls, .client_id = std::string(kName)};
  }

  void Run(const std::atomic<bool>& stop) {
    while (!stop) {
      Status status = Connect();
      while (status && !stop) status = Round();
      if (status) continue;
      healthy_ = false;
      metrics_.errors.Add();
      log::Warning("round given up, will be repeated", {{"reason", status.error().ToString()}});
      // What was polled but not taken is read again from the stored offsets.
      consumer_.reset();
      for (auto waited = 0ms; waited < kRetryWait && !stop; waited += 250ms) {
        std::this_thread::sleep_for(250ms);
      }
    }
  }

  Status Ready() const {
    if (healthy_) return {};
    return Fail(ErrorCode::kUnavailable, "no connection to the stream or the registry yet");
  }

 private:
  Status Connect() {
    if (!producer_) {
      auto producer = kafka::Producer::Create(
          {.connection = connection_, .queue_messages = 1'000, .queue_kib = 1'024});
      if (!producer) return Fail(producer.error());
      producer_ = std::move(*producer);
    }
    auto admin = kafka::Admin::Create(connection_);
    if (!admin) return Fail(admin.error());
    // Existing topics are left as they are.
    for (const topics::Stream& stream : topics::kAll) {
      if (std::ranges::find(kTopics, stream.name) == kTopics.end()) continue;
      std::vector<std::pair<std::string, std::string>> config;
      if (stream.compacted) config.emplace_back("cleanup.policy", "compact");
      Status created = (*admin)->CreateTopic(stream.name, stream.partitions, config, kTopicTimeout);
      if (!created) return Fail(created.error());
    }
    std::vector<kafka::Consumer::Assignment> assignments;
    for (std::string_view topic : {topics::kTelemetry, topics::kLabels}) {
      auto stored = controller_.Offsets(std::string(topic));
      if (!stored) return Fail(stored.error());
      auto partitions = PartitionsOf(**admin, topic);
      if (!partitions) return Fail(partitions.error());
      for (int partition = 0; partition < *partitions; ++partition) {
        const auto found = stored->find(partition);
        assignments.push_back(
            {std::string(topic), partition,
             found == stored->end() ? kafka::Consumer::kBeginning : found->second});
      }
    }
    auto consumer = kafka::Consumer::Create(
        {.connection = connection_, .group = "", .fetch_wait_ms = 250, .queue_kib = 1'024});
    if (!consumer) return Fail(consumer.error());
    consumer_ = std::move(*consumer);
    return consumer_->Assign(assignments);
  }

  static Expected<int> PartitionsOf(kafka::Admin& admin, std::string_view topic) {
    auto topics = admin.ListTopics(kTopicTimeout);
    if (!topics) return Fail(topics.error());
    for (const kafka::TopicInfo& info : *topics) {
      if (info.name == topic) return info.partitions;
    }
    return Fail(ErrorCode::kUnavailable, "topic " + std::string(topic) + " does not exist yet");
  }

  Status Round() {
    std::vector<mlops::StreamRecord> batch;
    auto wait = more_ ? 0ms : std::chrono::milliseconds(kIdleWait);
    while (batch.size() < kMaxBatch) {
      auto record = consumer_->Poll(wait);
      if (!record) return Fail(record.error());
      if (!*record) break;
      batch.push_back({std::move((*record)->topic), (*record)->partition, (*record)->offset,
                       std::move((*record)->value)});
      wait = 0ms;  // take what is there, wait no longer
    }
    if (!batch.empty()) {
      if (Status taken = controller_.Ingest(batch); !taken) return taken;
      metrics_.records.Add(static_cast<double>(batch.size()));
    }
    auto more = controller_.Tick();
    // Commands go out even while the registry is away.
    Status sent = controller_.Drain([this](const mlops::OutboxMessage& m) { return Send(m); });
    if (!more) return Fail(more.error());
    more_ = *more;
    healthy_ = true;
    metrics_.windows.Set(static_cast<double>(controller_.Counts().windows));
    metrics_.drifted.Set(controller_.Drift().drifted ? 1 : 0);
    const auto champion = controller_.Champion();
    metrics_.champion.Set(champion ? champion->version : 0);
    return sent;
  }

  Status Send(const mlops::OutboxMessage& message) {
    const events::CloudEvent event{.id = "mlops-" + std::to_string(message.id),
                                   .source = "/services/mlops",
                                   .type = message.type,
                                   .time_ns = message.at_ns};
    auto sent = producer_->ProduceSync({.topic = message.topic,
                                        .key = message.key,
                                        .value = message.value,
                                        .headers = events::ToHeaders(event)},
                                       kSendTimeout);
    if (!sent) return Fail(sent.error(), message.topic);
    return {};
  }

  mlops::Controller& controller_;
  Metrics& metrics_;
  kafka::ConnectionOptions connection_;
  std::unique_ptr<kafka::Producer> producer_;
  std::unique_ptr<kafka::Consumer> consumer_;
  bool more_ = false;
  std::atomic<bool> healthy_ = false;
};

Status Run(const process::Invocation& invocation) {
  auto options = config::LoadFile<mlops::DaemonOptions>(invocation.config_path, mlops::ReadOptions);
  if (!options) return Fail(options.error());
  auto signer = signing::Signer::Load(options->signing_key);
  if (!signer) return Fail(signer.error(), "signing_key");
  if (invocation.check_only) return {};
  process::InitLog(kName, options->common);

  auto registry = mlops::HttpModelRegistry::Create(
      {.host = options->registry_host, .port = options->registry_port, .tls = options->common.tls});
  if (!registry) return Fail(registry.error());
  auto controller =
      mlops::Controller::Open(options->controller, std::move(*signer), registry->get(), NowMs);
  if (!controller) return Fail(controller.error());

  metrics::Registry metrics;
  Metrics ours(metrics);
  Loop loop(**controller, *options, ours);
  auto server = http::Server::Create({.host = options->listen_host,
                                      .port = options->listen_port,
                                      .tls = options->common.tls,
                                      .max_body_bytes = model::kMaxModelBytes});
  if (!server) return Fail(server.error());
  mlops::AddRoutes(**server, **controller);
  if (Status started = (*server)->Start(); !started) return Fail(started.error(), "listen");
  auto health = process::StartHealth(options->common, metrics, [&] { return loop.Ready(); });
  if (!health) return Fail(health.error(), "health listener");
  std::atomic<bool> stop = false;
  std::thread thread([&] { loop.Run(stop); });
  Status announced = process::AnnouncePorts(options->common, (*server)->port(), (*health)->port());
  if (announced) {
    log::Info("started", {{"port", (*server)->port()}});
    process::WaitForStop();
  }
  stop = true;
  thread.join();
  (*server)->Stop();
  (*health)->Stop();
  return announced;
}

}  // namespace

int main(int argc, char** argv) {
  process::BlockStopSignals();
  const auto invocation = process::ParseCommandLine(argc, argv, kName, mlops::kAbout);
  if (Status status = Run(invocation); !status) {
    return process::ReportFailure(kName, status.error());
  }
  return 0;
}
