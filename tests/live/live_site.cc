#include "tests/live/live_site.h"

#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "contracts/ids/ids.h"
#include "contracts/topics/topics.h"

namespace edgeloop::live {
namespace {

constexpr std::chrono::milliseconds kPollInterval{50};

}  // namespace

bool Eventually(const std::function<bool()>& condition, std::chrono::seconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(kPollInterval);
  }
  return true;
}

site::Options LiveSite::OptionsFor(int devices,
                                   const std::vector<std::pair<std::string, std::string>>& source) {
  site::Options options = site::DefaultOptions();
  options.binaries = EDGELOOP_BIN_DIR;
  options.gateways = site::Fleet(devices, source);
  return options;
}

Expected<std::unique_ptr<LiveSite>> LiveSite::Start(site::Options options) {
  std::unique_ptr<LiveSite> live(new LiveSite);
  std::string pattern = (std::filesystem::temp_directory_path() / "edgeloop-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    return Fail(ErrorCode::kInternal, "cannot make a temporary directory " + pattern);
  }
  live->state_dir_ = pattern;
  auto site = site::Site::Start(std::move(options), pattern, [](const std::string&) {});
  if (!site) return Fail(site.error());
  live->site_ = std::move(*site);
  return live;
}

LiveSite::~LiveSite() {
  site_.reset();
  if (::testing::Test::HasFailure()) {
    fprintf(stderr, "the state of the failed test is kept in %s\n", state_dir_.c_str());
    return;
  }
  std::error_code ignored;
  std::filesystem::remove_all(state_dir_, ignored);
}

std::vector<std::string> LiveSite::devices() const {
  std::vector<std::string> ids;
  for (const auto& gateway : site_->options().gateways) {
    for (const auto& device : gateway.devices) ids.push_back(gateway.id + "/" + device.id);
  }
  return ids;
}

supervisor::ProcessState LiveSite::Process(const std::string& name) const {
  for (const auto& process : site_->Processes()) {
    if (process.name == name) return process;
  }
  return {};
}

void LiveSite::Signal(const std::string& process, int signal) const {
  const int pid = Process(process).pid;
  if (pid > 0) kill(pid, signal);
}

::testing::AssertionResult LiveSite::KillAndAwait(const std::string& process) {
  const auto before = Process(process);
  if (before.pid <= 0) return ::testing::AssertionFailure() << process << " is not running";
  kill(before.pid, SIGKILL);
  const bool back = Eventually([&] {
    const auto now = Process(process);
    return now.restarts > before.restarts && now.pid > 0 && now.pid != before.pid &&
           access().Ready(process).has_value();
  });
  if (back) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure()
         << process << " did not come back: " << Process(process).detail;
}

Expected<DeviceCounters> LiveSite::Counters(const std::string& device) const {
  auto id = DeviceId::Parse(device);
  if (!id) return Fail(id.error());
  auto client = access().Client(access().HealthPort(id->gateway()));
  if (!client) return Fail(client.error());
  auto body = (*client)->Call("GET", "/v1/devices");
  if (!body) return Fail(body.error());
  const auto json = nlohmann::json::parse(*body, nullptr, false);
  if (json.is_discarded()) return Fail(ErrorCode::kCorrupt, "/v1/devices is not JSON: " + *body);
  for (const auto& entry : json.value("devices", nlohmann::json::array())) {
    const std::string name = entry.value("device", "");
    if (name != device && name != id->device()) continue;
    const auto dropped = entry.value("dropped", nlohmann::json::object());
    return DeviceCounters{.produced = entry.value("produced", uint64_t{0}),
                          .acked_seq = entry.value("acked_seq", uint64_t{0}),
                          .pending = entry.value("pending", uint64_t{0}),
                          .dropped_raw = dropped.value("raw", uint64_t{0}),
                          .dropped_features = dropped.value("features", uint64_t{0}),
                          .dropped_alarms = dropped.value("alarms", uint64_t{0})};
  }
  return Fail(ErrorCode::kNotFound, device + " is not in " + *body);
}

Status LiveSite::Play(const std::string& device, const std::string& segments) const {
  auto id = DeviceId::Parse(device);
  if (!id) return Fail(id.error());
  auto client = access().Client(access().HealthPort(id->gateway()));
  if (!client) return Fail(client.error());
  auto body = (*client)->Call("POST", "/v1/plant/" + std::string(id->device()), segments);
  if (!body) return Fail(body.error());
  return {};
}

::testing::AssertionResult LiveSite::Drain(const std::string& last_segments) {
  for (const auto& device : devices()) {
    if (auto played = Play(device, last_segments); !played) {
      return ::testing::AssertionFailure() << device << ": " << played.error().ToString();
    }
  }
  std::string waiting_for;
  const bool drained = Eventually([&] {
    for (const auto& device : devices()) {
      auto id = DeviceId::Parse(device);
      auto client = access().Client(access().HealthPort(id->gateway()));
      auto plant = client ? (*client)->Call("GET", "/v1/plant/" + std::string(id->device()))
                          : Expected<std::string>(std::unexpected(client.error()));
      const auto counters = Counters(device);
      if (!plant || !counters) {
        waiting_for = device + " does not answer";
        return false;
      }
      waiting_for = device + ": produced " + std::to_string(counters->produced) +
                    ", acknowledged " + std::to_string(counters->acked_seq) + ", " + *plant;
      const bool playing = plant->find("\"playing\"") != std::string::npos ||
                           plant->find("\"queued\"") != std::string::npos ||
                           plant->find("\"looping\"") != std::string::npos;
      if (playing || counters->produced != counters->acked_seq || counters->pending != 0) {
        return false;
      }
    }
    return true;
  });
  if (drained) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "did not drain; " << waiting_for;
}

Expected<std::map<std::string, std::vector<v1::TelemetryRecord>>> LiveSite::ReadTelemetry() const {
  auto consumer = kafka::Consumer::Create({.connection = access().Stream("test"), .group = ""});
  if (!consumer) return Fail(consumer.error());
  const std::string topic(topics::kTelemetry);
  int64_t expected = 0;
  int partitions = 0;
  for (const auto& stream : topics::kAll) {
    if (stream.name == topics::kTelemetry) partitions = stream.partitions;
  }
  for (int partition = 0; partition < partitions; ++partition) {
    auto marks = (*consumer)->QueryWatermarks(topic, partition, std::chrono::seconds(10));
    if (!marks) return Fail(marks.error());
    expected += marks->high - marks->low;
  }
  if (auto assigned = (*consumer)->AssignAll({topic}, kafka::Consumer::kBeginning); !assigned) {
    return Fail(assigned.error());
  }
  std::map<std::string, std::vector<v1::TelemetryRecord>> by_device;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (expected > 0) {
    auto record = (*consumer)->Poll(std::chrono::milliseconds(500));
    if (!record) return Fail(record.error());
    if (std::chrono::steady_clock::now() > deadline) {
      return Fail(ErrorCode::kTimeout, std::to_string(expected) + " records could not be read");
    }
    if (!*record) continue;
    --expected;
    v1::TelemetryRecord telemetry;
    if (!telemetry.ParseFromString((*record)->value)) {
      return Fail(ErrorCode::kCorrupt, "telemetry that is not a TelemetryRecord");
    }
    by_device[telemetry.device()].push_back(std::move(telemetry));
  }
  return by_device;
}

}  // namespace edgeloop::live
