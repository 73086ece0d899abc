// The whole daemon as a process: real mosquitto, a registry over mTLS, the test as bridge,
// publisher and operator.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "contracts/ids/model_ref.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "contracts/proto/sparkplug_b.pb.h"
#include "contracts/sparkplug/record.h"
#include "contracts/sparkplug/topic.h"
#include "runtime/http/client.h"
#include "runtime/http/server.h"
#include "runtime/mqtt/mqtt.h"
#include "runtime/mqtt/test_broker.h"
#include "runtime/process/daemon.h"
#include "runtime/signing/signing.h"
#include "things/gateway/sense/test_models.h"

namespace edgeloop::gateway {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{60};

// Does what the bridge does: takes records in order, acknowledges them.
class Bridge {
 public:
  Bridge(int port, tls::Files files) {
    mqtt::Client::Options options{.port = port, .tls = std::move(files), .client_id = "bridge"};
    options.on_connected = [this] { (void)client_->Subscribe("spBv1.0/#", 1); };
    options.on_message = [this](std::string_view topic, std::string_view payload) {
      Hear(topic, payload);
    };
    client_ = std::move(*mqtt::Client::Create(std::move(options)));
    EXPECT_TRUE(client_->Start().has_value());
  }

  void Send(const v1::Command& command) {
    const auto id = DeviceId::Parse(command.device());
    (void)client_->Publish("spBv1.0/edgeloop/DCMD/gw-01/" + std::string(id->device()),
                           sparkplug::DeviceCommand(command, 1), 1);
  }

  // Repeats `command` until its answer is there, as the platform does.
  v1::DeviceEvent Ask(const v1::Command& command, std::vector<v1::DeviceEvent::Type> finals) {
    const auto deadline = Clock::now() + kPatience;
    while (Clock::now() < deadline) {
      Send(command);
      std::unique_lock lock(mutex_);
      v1::DeviceEvent answer;
      const bool found = changed_.wait_for(lock, std::chrono::seconds(2), [&] {
        for (const auto& record : records_) {
          if (!record.has_event() || record.event().command_id() != command.command_id()) continue;
          answer = record.event();
          if (std::ranges::find(finals, answer.type()) != finals.end()) return true;
        }
        return false;
      });
      if (found) return answer;
    }
    ADD_FAILURE() << "no answer to " << command.command_id();
    return {};
  }

  template <typename Is>
  std::optional<v1::TelemetryRecord> WaitFor(Is is) {
    std::unique_lock lock(mutex_);
    std::optional<v1::TelemetryRecord> found;
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] {
      const auto it = std::ranges::find_if(records_, is);
      if (it != records_.end()) found = *it;
      return found.has_value();
    }));
    return found;
  }
  uint64_t gaps() {
    std::lock_guard lock(mutex_);
    return gaps_;
  }

 private:
  void Hear(std::string_view text, std::string_view payload) {
    auto topic = sparkplug::ParseTopic(text);
    if (!topic || !sparkplug::IsDeviceMessage(topic->type)) return;
    sparkplug::Proto proto;
    if (!sparkplug::ParsePayload(payload, &proto)) return;
    std::lock_guard lock(mutex_);
    if (topic->type == sparkplug::MessageType::kDeviceBirth) {
      auto decoder = sparkplug::RecordDecoder::FromBirth(proto);
      ASSERT_TRUE(decoder.has_value());
      decoders_.insert_or_assign(topic->device, std::move(*decoder));
    } else if (topic->type == sparkplug::MessageType::kDeviceData) {
      const auto decoder = decoders_.find(topic->device);
      if (decoder == decoders_.end()) return;
      v1::TelemetryRecord record;
      auto data = decoder->second.Decode(proto, &record);
      ASSERT_TRUE(data.has_value()) << data.error().ToString();
      record.set_device("gw-01/" + topic->device);
      uint64_t& last = last_[topic->device];
      if (record.seq() > last && data->previous_seq <= last) {
        if (record.seq() != last + 1) ++gaps_;
        last = record.seq();
        records_.push_back(record);
      }
      (void)client_->Publish("spBv1.0/edgeloop/DCMD/gw-01/" + topic->device,
                             sparkplug::Acknowledgement({record.boot(), last}, 1), 1);
      changed_.notify_all();
    }
  }

  std::unique_ptr<mqtt::Client> client_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, sparkplug::RecordDecoder> decoders_;
  std::map<std::string, uint64_t> last_;
  std::vector<v1::TelemetryRecord> records_;
  uint64_t gaps_ = 0;
};

class GatewayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = ca_.directory() + "/gateway";
    std::filesystem::create_directories(dir_);
    ASSERT_TRUE(signing::CreateKeyFile(dir_ + "/sign.key", dir_ + "/sign.pub").has_value());
    const auto factory = WriteModel(model_file::DefaultMotorPipeline(8'000, 4, 2'048, 1'024));
    std::ofstream(dir_ + "/factory.elm", std::ios::binary)
        .write(reinterpret_cast<const char*>(factory.data()),
               static_cast<std::streamsize>(factory.size()));
    registry_ = std::move(*http::Server::Create({.tls = ca_.Issue("registry")}));
    registry_->Handle("GET", "/v1/blobs/(sha256:[0-9a-f]{64})", [this](const http::Request& r) {
      std::lock_guard lock(blobs_mutex_);
      const auto blob = blobs_.find(r.path_parts.at(0));
      if (blob == blobs_.end()) return http::ErrorResponse(Error(ErrorCode::kNotFound, "no blob"));
      return http::Response{.body = blob->second, .content_type = "application/octet-stream"};
    });
    ASSERT_TRUE(registry_->Start().has_value());
    bridge_ = std::make_unique<Bridge>(broker_.port(), ca_.Issue("bridge"));
    StartGateway();
  }

  void StartGateway() {
    const tls::Files files = ca_.Issue("gw-01", "device");
    const std::string device =
        ", source: {type: motor, seed: 3, speed_rpm: 1480}, factory_model: " + dir_ +
        "/factory.elm, raw_on_alarm: true";
    std::ofstream(dir_ + "/gateway.yaml")
        << "gateway_id: gw-01\nmqtt: {port: " << broker_.port()
        << "}\nregistry: {port: " << registry_->port() << "}\nstate_dir: " << dir_
        << "/state\ntrusted_keys: [" << dir_ << "/sign.pub]\nplant_control: true\npace: 8\n"
        << "tls: {ca: " << files.ca << ", cert: " << files.cert << ", key: " << files.key
        << "}\nport_file: " << dir_ << "/ports.json\ndevices:\n  - {id: motor-01" << device
        << ", actuator: {type: file, path: " << dir_ << "/contactor}}\n  - {id: motor-02" << device
        << "}\n";
    std::filesystem::remove(dir_ + "/ports.json");
    auto child =
        process::Child::Start({.command = {std::string(EDGELOOP_BIN_DIR) + "/edgeloop-gateway",
                                           "--config", dir_ + "/gateway.yaml"}});
    ASSERT_TRUE(child.has_value()) << child.error().ToString();
    gateway_ = std::move(*child);
    const auto deadline = Clock::now() + kPatience;
    while (!std::filesystem::exists(dir_ + "/ports.json") && Clock::now() < deadline) {
      ASSERT_FALSE(gateway_->WaitFor(std::chrono::milliseconds(20)).has_value());
    }
    std::ifstream ports(dir_ + "/ports.json");
    health_port_ = json::parse(ports).at("health");
  }

  Expected<std::string> Call(std::string_view method, std::string_view path,
                             const std::string& body = "", const std::string& unit = "operator") {
    auto client = http::Client::Create({.port = health_port_, .tls = ca_.Issue("someone", unit)});
    if (!client) return Fail(client.error());
    return (*client)->Call(method, path, body);
  }

  json Device(size_t index) {
    auto body = Call("GET", "/v1/devices");
    EXPECT_TRUE(body.has_value()) << body.error().ToString();
    return json::parse(*body).at("devices").at(index);
  }

  v1::Command Publish(const std::string& command_id, const model_file::ModelSpec& spec) {
    const auto bytes = WriteModel(spec);
    const ModelRef ref{spec.name, spec.version, signing::Sha256Digest(bytes), bytes.size()};
    {
      std::lock_guard lock(blobs_mutex_);
      blobs_[ref.digest].assign(bytes.begin(), bytes.end());
    }
    auto signer = signing::Signer::Load(dir_ + "/sign.key");
    const auto signature = *signer->Sign(ModelSigningText(ref));
    v1::Command command;
    command.set_command_id(command_id);
    command.set_device("gw-01/motor-01");
    v1::UpdateModel& update = *command.mutable_update_model();
    update.set_name(ref.name);
    update.set_version(ref.version);
    update.set_digest(ref.digest);
    update.set_size(ref.size_bytes);
    update.set_signature(signature.data(), signature.size());
    update.set_key_id(signer->key_id());
    return command;
  }

  tls::TestCa ca_;
  mqtt::TestBroker broker_{ca_};
  std::string dir_;
  std::unique_ptr<http::Server> registry_;
  std::mutex blobs_mutex_;
  std::map<std::string, std::string> blobs_;
  std::unique_ptr<Bridge> bridge_;
  std::optional<process::Child> gateway_;
  int health_port_ = 0;
};

TEST_F(GatewayTest, SensesUpdatesTripsResetsAndSurvivesAKill) {
  const std::vector<v1::DeviceEvent::Type> finals = {
      v1::DeviceEvent::MODEL_CONFIRMED, v1::DeviceEvent::MODEL_REVERTED,
      v1::DeviceEvent::MODEL_REJECTED, v1::DeviceEvent::CONTACTOR_RESET};
  const auto first = bridge_->WaitFor(
      [](const auto& r) { return r.device() == "gw-01/motor-01" && r.features_size(); });
  ASSERT_TRUE(first.has_value());
  ASSERT_EQ(first->feature_names(0), "ch0.rms");
  const float quiet = first->features(0);  // ln(rms) of the healthy machine
  bridge_->WaitFor(
      [](const auto& r) { return r.device() == "gw-01/motor-02" && r.features_size(); });
  EXPECT_TRUE(Call("GET", "/readyz").has_value());
  EXPECT_LT(process::UsageOf(gateway_->pid())->resident_bytes, 64u << 20);
  std::printf("resident: %.1f MiB\n",
              static_cast<double>(process::UsageOf(gateway_->pid())->resident_bytes) / (1 << 20));

  // A model that alarms always is reverted, one that never does is confirmed.
  auto answer = bridge_->Ask(Publish("bad", RmsModel(8'000, 4, 0, 5, 1)), finals);
  EXPECT_EQ(answer.type(), v1::DeviceEvent::MODEL_REVERTED) << answer.reason();
  answer = bridge_->Ask(Publish("good", RmsModel(8'000, 4, 10, -10 * (quiet + 0.5f), 2)), finals);
  EXPECT_EQ(answer.type(), v1::DeviceEvent::MODEL_CONFIRMED) << answer.reason();
  const std::string digest = answer.model_digest();
  bridge_->WaitFor([&](const auto& r) { return r.features_size() && r.model_digest() == digest; });
  EXPECT_EQ(Device(0)["trips"], 0);

  // The kill loses nothing that was seen outside and keeps the model.
  gateway_->Signal(SIGKILL);
  gateway_->WaitFor(kPatience);
  StartGateway();
  bridge_->WaitFor([&](const auto& r) {
    return r.boot() == 2 && r.features_size() && r.model_digest() == digest;
  });
  EXPECT_EQ(bridge_->gaps(), 0u);
  EXPECT_EQ(Device(0)["model"]["digest"], digest);
  EXPECT_EQ(Device(0)["boot"], 2);

  // A loud machine trips, a service may not touch the plant.
  const std::string fault =
      R"({"segments":[{"id":"f","seed":7,"duration_s":30,"speed_rpm":1480,"load":0.6,)"
      R"("fault":"imbalance","severity":1.0}],"loop_last":true})";
  EXPECT_FALSE(Call("POST", "/v1/plant/motor-01", fault, "service").has_value());
  ASSERT_TRUE(Call("POST", "/v1/plant/motor-01", fault).has_value());
  const auto alarm = bridge_->WaitFor([](const auto& r) { return r.kind() == v1::ALARM; });
  ASSERT_TRUE(alarm.has_value());
  EXPECT_TRUE(alarm->actuator_open());
  EXPECT_GT(alarm->actuation_latency_us(), 0u);
  std::printf("actuation latency: %u us\n", alarm->actuation_latency_us());
  std::ifstream contactor(dir_ + "/contactor");
  EXPECT_EQ(contactor.get(), '1');
  EXPECT_EQ(Device(0)["contactor_open"], true);
  bridge_->WaitFor([](const auto& r) { return r.kind() == v1::RAW; });

  // Repair and reset.
  const std::string healthy =
      R"({"segments":[{"id":"h","seed":3,"duration_s":2,"speed_rpm":1480}],"loop_last":false})";
  ASSERT_TRUE(Call("POST", "/v1/plant/motor-01", healthy).has_value());
  v1::Command reset;
  reset.set_command_id("reset-1");
  reset.set_device("gw-01/motor-01");
  reset.mutable_reset_contactor();
  bridge_->Ask(reset, finals);
  EXPECT_EQ(Device(0)["contactor_open"], false);
  const auto plant = json::parse(*Call("GET", "/v1/plant/motor-01"));
  EXPECT_EQ(plant["segments"][0]["id"], "h");

  EXPECT_EQ(gateway_->Stop(std::chrono::seconds(20)), 0);
  EXPECT_EQ(bridge_->gaps(), 0u);
}

}  // namespace
}  // namespace edgeloop::gateway
