#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "inference/sidecar/module_host.h"
#include "inference/sidecar/stream_worker.h"
#include "runtime/config/config.h"
#include "runtime/log/log.h"
#include "runtime/process/daemon.h"

namespace {

using namespace edgeloop;
using std::chrono::milliseconds;

constexpr std::string_view kName = "edgeloop-sidecar";
constexpr std::string_view kAbout = R"(Stream <-> module: keeps a short history of each device, asks
its level-2 module over a unix socket, judges alert rules, publishes inferences and alerts.
Writes nothing to disk but the socket (and port_file, when asked for).

Example configuration:

  stream: {bootstrap: "127.0.0.1:9093"}
  tls: {ca: ca.pem, cert: sidecar.pem, key: sidecar.key}
  socket: /run/edgeloop/module.sock
  module:                      # optional: started and restarted by the sidecar
    command: [edgeloop-module, --config, module.yaml]
    answer_timeout_ms: 2000
  interval_ms: 1000            # between two inferences of a device
  alarm_window_ms: 3000        # of l1_alarm_fraction
  rules:                       # optional: without it, one rule "bearing-or-shaft-fault"
    - name: worn-bearing
      when: l1_alarm_fraction > 0.5 && l2_score > 0.6 && criticality >= 0.3
      severity: critical       # info, warning, critical
      hold_ms: 0               # how long it must hold before the alert is raised
      clear_ms: 2000           # how long it must not hold before it is cleared
  health: {host: 127.0.0.1, port: 0}

Variables of a rule: l1_score, l1_alarm_fraction, l1_trip, l2_score, data_age_ms, criticality, and
ctx_<name> for each value of the machine's context.
)";

struct Options {
  process::CommonOptions common;
  std::string bootstrap;
  sidecar::ModuleHost::Options module;
  processing::ProcessorOptions processor;
  std::vector<alerts::RuleOptions> rules;
};

void Read(config::Reader& reader, Options& options) {
  process::ReadCommon(reader, &options.common);
  reader.Section(
      "stream", [&](config::Reader& stream) { stream.Required("bootstrap", &options.bootstrap); },
      true);
  reader.Required("socket", &options.module.socket);
  reader.Section("module", [&](config::Reader& module) {
    int timeout_ms = static_cast<int>(options.module.answer_timeout.count());
    module.Optional("command", &options.module.command);
    module.Optional("answer_timeout_ms", &timeout_ms, {.min = 10, .max = 60'000});
    options.module.answer_timeout = frame::Timeout(timeout_ms);
  });
  const auto milliseconds_of = [](config::Reader& from, std::string_view key, uint64_t* out,
                                  int64_t min, int64_t max) {
    auto value = static_cast<int64_t>(*out);
    from.Optional(key, &value, {.min = min, .max = max});
    *out = static_cast<uint64_t>(value);
  };
  milliseconds_of(reader, "interval_ms", &options.processor.interval_ms, 10, 3'600'000);
  milliseconds_of(reader, "alarm_window_ms", &options.processor.alarm_window_ms, 100, 10'000);
  if (!reader.Has("rules")) options.rules.push_back(alerts::DefaultRule());
  reader.List("rules", [&](config::Reader& item) {
    alerts::RuleOptions rule;
    item.Required("name", &rule.name);
    item.Required("when", &rule.when);
    item.Choice("severity", &rule.severity, {"info", "warning", "critical"});
    milliseconds_of(item, "hold_ms", &rule.hold_ms, 0, 86'400'000);
    milliseconds_of(item, "clear_ms", &rule.clear_ms, 0, 86'400'000);
    options.rules.push_back(std::move(rule));
  });
}

// Lets the module's thread sleep until there is something to ask.
class Work {
 public:
  void Notify() {
    {
      std::lock_guard lock(mutex_);
      pending_ = true;
    }
    changed_.notify_one();
  }
  void WaitFor(milliseconds longest) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, longest, [&] { return pending_; });
    pending_ = false;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool pending_ = false;
};

constexpr milliseconds kPollWait{500};
constexpr milliseconds kRetryWait{1'000};

void ConsumeLoop(sidecar::StreamWorker& stream, const frame::Interrupt& interrupt,
                 std::atomic<bool>& consuming) {
  std::string last;
  while (!interrupt.IsSet()) {
    const Status status = consuming ? stream.Step(kPollWait) : stream.Begin(interrupt);
    if (status) {
      if (!consuming) log::Info("stream joined");
      consuming = true;
      continue;
    }
    if (status.error().message() != last) {
      log::Warning("stream", {{"reason", status.error().message()}});
    }
    last = status.error().message();
    (void)frame::WaitReadable(interrupt.fd(), interrupt, kRetryWait);
  }
}

void ModuleLoop(sidecar::ModuleHost& host, processing::EventProcessor& processor, Work& work,
                const frame::Interrupt& interrupt, std::atomic<bool>& connected,
                metrics::Counter errors) {
  std::string last;
  const auto complain = [&](const Error& error) {
    if (error.code() == ErrorCode::kCancelled) return;
    if (error.message() != last) log::Warning("module", {{"reason", error.message()}});
    last = error.message();
  };
  while (!interrupt.IsSet()) {
    connected = host.connected();
    if (!host.connected()) {
      const Status status = host.WaitForModule(interrupt, kRetryWait);
      if (status) {
        log::Info("module connected");
        last.clear();
      } else if (status.error().code() != ErrorCode::kTimeout) {
        complain(status.error());
      }
      continue;
    }
    auto request = processor.NextRequest();
    if (!request) {
      const auto due_ms = processor.MsUntilNextRequest();
      // Without new data Notify() ends the wait; one second bounds how late a stop is seen.
      const auto wait = due_ms ? milliseconds(std::clamp<uint64_t>(*due_ms, 1, 1'000)) : kRetryWait;
      if (due_ms) {
        (void)frame::WaitReadable(interrupt.fd(), interrupt, wait);
      } else {
        work.WaitFor(wait);
      }
      continue;
    }
    auto response = host.Ask(*request, interrupt);
    const Status status =
        response ? processor.OnResponse(*request, *response) : Status(Fail(response.error()));
    if (!status) {
      errors.Add();
      complain(status.error());
    }
  }
}

int Run(const Options& options, alerts::Rules rules) {
  metrics::Registry metrics;
  Work work;
  auto stream = sidecar::StreamWorker::Create({.connection = {.bootstrap = options.bootstrap,
                                                              .tls = options.common.tls,
                                                              .client_id = std::string(kName)},
                                               .processor = options.processor},
                                              std::move(rules), metrics, [&] { work.Notify(); });
  if (!stream) return process::ReportFailure(kName, stream.error());
  auto host = sidecar::ModuleHost::Create(options.module);
  if (!host) return process::ReportFailure(kName, host.error());

  std::atomic<bool> consuming = false, connected = false;
  auto health = process::StartHealth(options.common, metrics, [&]() -> Status {
    if (!consuming) return Fail(ErrorCode::kUnavailable, "has not joined the stream");
    if (!connected) return Fail(ErrorCode::kUnavailable, "no module is connected");
    return {};
  });
  if (!health) return process::ReportFailure(kName, health.error());
  const int port = (*health)->port();
  if (Status status = process::AnnouncePorts(options.common, port, port); !status) {
    return process::ReportFailure(kName, status.error());
  }

  frame::Interrupt interrupt;
  const auto errors = metrics.AddCounter("edgeloop_module_errors_total",
                                         "Requests that the module did not answer well");
  std::thread consumer([&] { ConsumeLoop(**stream, interrupt, consuming); });
  std::thread asker([&] {
    ModuleLoop(**host, (*stream)->processor(), work, interrupt, connected, errors);
    (*host)->StopModule();  // by the thread that started it: the child dies with its parent thread
  });
  log::Info("sidecar ready", {{"socket", options.module.socket}, {"health_port", port}});
  process::WaitForStop();
  interrupt.Set();
  work.Notify();
  consumer.join();
  asker.join();
  if (Status status = (*stream)->Flush(milliseconds(3'000)); !status) {
    log::Warning("not everything was published", {{"reason", status.error().message()}});
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto invocation = process::ParseCommandLine(argc, argv, kName, kAbout);
  auto options = config::LoadFile<Options>(invocation.config_path, Read);
  if (!options) return process::ReportFailure(kName, options.error());
  auto rules = alerts::Rules::Create(options->rules);
  if (!rules) return process::ReportFailure(kName, rules.error().In(invocation.config_path));
  if (invocation.check_only) return 0;
  process::BlockStopSignals();
  process::InitLog(kName, options->common);
  return Run(*options, std::move(*rules));
}
