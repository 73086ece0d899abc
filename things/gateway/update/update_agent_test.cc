#include "things/gateway/update/update_agent.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <list>
#include <map>

#include "contracts/ids/ids.h"
#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "runtime/fs/fault_file_system.h"
#include "runtime/http/client.h"
#include "runtime/http/server.h"
#include "runtime/tls/test_ca.h"
#include "things/gateway/sense/test_models.h"
#include "things/gateway/update/device_command.h"

namespace edgeloop::gateway {
namespace {

constexpr std::chrono::seconds kPatience{20};

// Everything real but the loop: trials end as the test says.
class UpdateAgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string dir = ca_.directory();
    ASSERT_TRUE(signing::CreateKeyFile(dir + "/sign.key", dir + "/sign.pub").has_value());
    ASSERT_TRUE(signing::CreateKeyFile(dir + "/other.key", dir + "/other.pub").has_value());
    verifier_.emplace(*signing::Verifier::Load({dir + "/sign.pub"}));
    signer_.emplace(*signing::Signer::Load(dir + "/sign.key"));
    ASSERT_TRUE(fs_.MakeDirs("etc").has_value());
    const auto factory = WriteModel(model_file::DefaultMotorPipeline(kRateHz, kChannels, 256, 128));
    ASSERT_TRUE(fs::WriteFileAtomically(fs_, "etc/factory.elm", factory).has_value());
    registry_ = std::move(*http::Server::Create({.tls = ca_.Issue("registry")}));
    registry_->Handle("GET", "/v1/blobs/(.+)", [this](const http::Request& request) {
      std::lock_guard lock(mutex_);
      ++downloads_;
      changed_.notify_all();
      if (unavailable_ > 0) {
        --unavailable_;
        return http::ErrorResponse(Error(ErrorCode::kUnavailable, "later"));
      }
      const auto blob = blobs_.find(request.path_parts.at(0));
      if (blob == blobs_.end()) return http::ErrorResponse(Error(ErrorCode::kNotFound, "no blob"));
      return http::Response{.body = blob->second, .content_type = "application/octet-stream"};
    });
    ASSERT_TRUE(registry_->Start().has_value());
    NewAgent();
  }
  void TearDown() override { agent_.reset(); }

  // What a restart does, whatever state the old agent was in.
  void NewAgent() {
    agent_.reset();
    {
      std::lock_guard lock(mutex_);
      trial_.reset();
    }
    auto agent = UpdateAgent::Create(
        {.dir = "model",
         .factory_model_path = "etc/factory.elm",
         .sample_rate_hz = kRateHz,
         .channels = kChannels,
         .max_model_bytes = 100'000,
         .retry_min_ms = 1,
         .retry_max_ms = 4},
        {.fs = fs_,
         .verifier = *verifier_,
         .fetch = [this](const std::string& digest, uint64_t max_bytes) -> Expected<std::string> {
           auto client = http::Client::Create({.port = registry_->port(),
                                               .tls = ca_.Issue("gw-01", "device"),
                                               .max_body_bytes = max_bytes});
           if (!client) return Fail(client.error());
           return (*client)->Call("GET", "/v1/blobs/" + digest);
         },
         .start_trial =
             [this](std::unique_ptr<LoadedModel> candidate, auto done) {
               std::lock_guard lock(mutex_);
               trial_ = Trial{std::move(candidate), std::move(done)};
               changed_.notify_all();
             },
         .end_trial =
             [this](bool promote) {
               std::lock_guard lock(mutex_);
               promotions_ += promote ? 1 : 0;
             },
         .emit =
             [this](const UpdateAnswer& answer) {
               std::lock_guard lock(mutex_);
               events_.push_back(answer);
               changed_.notify_all();
             }});
    ASSERT_TRUE(agent.has_value()) << agent.error().ToString();
    agent_ = std::move(*agent);
    auto confirmed = agent_->LoadConfirmed();
    ASSERT_TRUE(confirmed.has_value()) << confirmed.error().ToString();
    confirmed_digest_ = (*confirmed)->digest();
    agent_->Start();
  }

  UpdateRequest Publish(const std::string& command_id, const std::vector<uint8_t>& bytes,
                        uint32_t version) {
    UpdateRequest request{.command_id = command_id,
                          .model = {"motor", version, signing::Sha256Digest(bytes), bytes.size()}};
    std::lock_guard lock(mutex_);
    blobs_[request.model.digest].assign(bytes.begin(), bytes.end());
    Sign(request);
    return request;
  }
  UpdateRequest Publish(const std::string& command_id, uint32_t version,
                        uint8_t channels = kChannels) {
    return Publish(command_id, WriteModel(RmsModel(kRateHz, channels, 0, -5, version)), version);
  }
  void Sign(UpdateRequest& request) {
    request.signature = *signer_->Sign(ModelSigningText(request.model));
    request.key_id = signer_->key_id();
  }

  UpdateAnswer WaitForEvent(size_t index) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, kPatience, [&] { return events_.size() > index; })) {
      ADD_FAILURE() << "no event " << index;
      return {};
    }
    return events_[index];
  }
  void EndTrial(TrialOutcome outcome) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kPatience, [&] { return trial_.has_value(); }));
    auto done = std::move(trial_->done);
    trial_.reset();
    lock.unlock();
    done(outcome);
  }
  void ExpectRejected(const UpdateRequest& request, const std::string& reason) {
    const size_t before = events_.size();
    agent_->Request(request);
    const UpdateAnswer answer = WaitForEvent(before);
    EXPECT_EQ(answer.event_type, v1::DeviceEvent::MODEL_REJECTED);
    EXPECT_NE(answer.reason.find(reason), std::string::npos) << answer.reason;
    EXPECT_EQ(answer.command_id, request.command_id);
  }

  static constexpr uint32_t kRateHz = 8'000;
  static constexpr uint8_t kChannels = 2;

  struct Trial {
    std::unique_ptr<LoadedModel> candidate;
    std::function<void(const TrialOutcome&)> done;
  };
  tls::TestCa ca_;
  fs::FaultFileSystem fs_{1};
  std::optional<signing::Verifier> verifier_;
  std::optional<signing::Signer> signer_;
  std::unique_ptr<http::Server> registry_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> blobs_;
  int downloads_ = 0;
  int unavailable_ = 0;
  std::optional<Trial> trial_;
  int promotions_ = 0;
  std::vector<UpdateAnswer> events_;
  std::string confirmed_digest_;
  std::unique_ptr<UpdateAgent> agent_;
};

TEST_F(UpdateAgentTest, DownloadsTriesAndConfirms) {
  const UpdateRequest request = Publish("c1", 1);
  agent_->Request(request);
  EXPECT_EQ(WaitForEvent(0).event_type, v1::DeviceEvent::MODEL_TRIAL);
  {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kPatience, [&] { return trial_.has_value(); }));
  }
  EXPECT_EQ(agent_->state_name(), "trial");
  EndTrial({true, ""});
  EXPECT_EQ(WaitForEvent(1).event_type, v1::DeviceEvent::MODEL_CONFIRMED);
  NewAgent();
  EXPECT_EQ(confirmed_digest_, request.model.digest);
  EXPECT_EQ(promotions_, 1);
  // A repeated command is answered, not done again; so is a new one for the same model.
  agent_->Request(request);
  EXPECT_EQ(WaitForEvent(2).event_type, v1::DeviceEvent::MODEL_CONFIRMED);
  agent_->Request(Publish("c2", 1));
  EXPECT_EQ(WaitForEvent(3).event_type, v1::DeviceEvent::MODEL_CONFIRMED);
  EXPECT_EQ(downloads_, 1);
}

TEST_F(UpdateAgentTest, RefusesWhatIsNotProven) {
  UpdateRequest request = Publish("signature", 1);
  request.signature[5] ^= 1;
  ExpectRejected(request, "signature");
  request = Publish("key", 1);
  const auto other = signing::Signer::Load(ca_.directory() + "/other.key");
  request.signature = *other->Sign(ModelSigningText(request.model));
  request.key_id = other->key_id();
  ExpectRejected(request, "signature");
  request = Publish("renamed", 1);
  request.model.version = 9;  // the signature is of version 1
  ExpectRejected(request, "signature");
  EXPECT_EQ(downloads_, 0);

  request = Publish("digest", 2);
  blobs_[request.model.digest][100] ^= 1;
  ExpectRejected(request, "digest");
  request = Publish("truncated", 3);
  blobs_[request.model.digest].resize(100);
  ExpectRejected(request, "100 bytes");
  request = Publish("oversized", 4);
  blobs_[request.model.digest].append(50'000, 'x');
  ExpectRejected(request, "download");
  request = Publish("huge", std::vector<uint8_t>(100'001), 5);
  ExpectRejected(request, "this device takes");
  request = Publish("missing", 6);
  blobs_.clear();
  ExpectRejected(request, "no blob");
  ExpectRejected(Publish("channels", 7, 3), "does not fit");
  ExpectRejected(Publish("not a model", std::vector<uint8_t>(500, 7), 8), "does not verify");
  ExpectRejected(Publish("version", WriteModel(RmsModel(kRateHz, 2, 0, -5, 1)), 10),
                 "not what the command says");
  EXPECT_FALSE(trial_.has_value());
}

TEST_F(UpdateAgentTest, NeverGoesBack) {
  agent_->Request(Publish("c5", 5));
  WaitForEvent(0);
  EndTrial({true, ""});
  WaitForEvent(1);
  ExpectRejected(Publish("c4", 4), "not newer");
  ExpectRejected(Publish("c5-other", WriteModel(RmsModel(kRateHz, 2, 0, -4, 5)), 5), "not newer");
}

TEST_F(UpdateAgentTest, AnUnhealthyTrialRevertsAndTheConfirmedModelStays) {
  const UpdateRequest first = Publish("c1", 1);
  agent_->Request(first);
  WaitForEvent(0);
  EndTrial({true, ""});
  WaitForEvent(1);
  agent_->Request(Publish("c2", 2));
  WaitForEvent(2);
  EndTrial({false, "alarmed on everything"});
  const UpdateAnswer answer = WaitForEvent(3);
  EXPECT_EQ(answer.event_type, v1::DeviceEvent::MODEL_REVERTED);
  EXPECT_EQ(answer.reason, "alarmed on everything");
  NewAgent();
  EXPECT_EQ(confirmed_digest_, first.model.digest);
}

TEST_F(UpdateAgentTest, ADownloadIsRetriedAndSurvivesARestart) {
  unavailable_ = 1'000'000;
  const UpdateRequest request = Publish("c1", 1);
  agent_->Request(request);
  {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kPatience, [&] { return downloads_ >= 3; }));
  }
  EXPECT_EQ(agent_->state_name(), "downloading");
  NewAgent();
  {
    std::lock_guard lock(mutex_);
    unavailable_ = 0;
  }
  EXPECT_EQ(WaitForEvent(0).event_type, v1::DeviceEvent::MODEL_TRIAL);
  EndTrial({true, ""});
  EXPECT_EQ(WaitForEvent(1).event_type, v1::DeviceEvent::MODEL_CONFIRMED);
}

TEST_F(UpdateAgentTest, ATrialSurvivesTwoRestartsAndRevertsAtTheThird) {
  agent_->Request(Publish("c1", 1));
  WaitForEvent(0);
  for (int i = 0; i < kMaxTrialInterruptions; ++i) {
    NewAgent();
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kPatience, [&] { return trial_.has_value(); }));
  }
  NewAgent();
  const UpdateAnswer answer = WaitForEvent(1);
  EXPECT_EQ(answer.event_type, v1::DeviceEvent::MODEL_REVERTED);
  EXPECT_NE(answer.reason.find("interrupted"), std::string::npos);
}

TEST_F(UpdateAgentTest, ANewerCommandReplacesATrial) {
  agent_->Request(Publish("c1", 1));
  WaitForEvent(0);
  agent_->Request(Publish("c2", 2));
  EXPECT_EQ(WaitForEvent(1).event_type, v1::DeviceEvent::MODEL_REVERTED);
  EXPECT_EQ(WaitForEvent(2).event_type, v1::DeviceEvent::MODEL_TRIAL);
  EXPECT_EQ(WaitForEvent(2).command_id, "c2");
}

TEST_F(UpdateAgentTest, ADamagedConfirmedModelFallsBackToTheFactoryModel) {
  const std::string factory = confirmed_digest_;
  agent_->Request(Publish("c1", 1));
  WaitForEvent(0);
  EndTrial({true, ""});
  WaitForEvent(1);
  agent_.reset();
  ASSERT_TRUE(fs_.Corrupt("model/slot-a.elm", 200, 1).has_value());
  NewAgent();
  EXPECT_EQ(confirmed_digest_, factory);
  EXPECT_EQ(WaitForEvent(2).event_type, v1::DeviceEvent::MODEL_REVERTED);
  // The same version may be installed again.
  agent_->Request(Publish("c2", 1));
  EXPECT_EQ(WaitForEvent(3).event_type, v1::DeviceEvent::MODEL_TRIAL);
}

// A power failure at every single step of an update: the device always starts with the factory
// model or the new one, and the repeated command always ends confirmed.
TEST_F(UpdateAgentTest, PowerFailureAtAnyStep) {
  const std::string factory = confirmed_digest_;
  for (uint64_t step = 1; step <= 24; ++step) {
    SCOPED_TRACE(step);
    agent_.reset();
    ASSERT_TRUE(fs::RemoveTree(fs_, "model").has_value());
    {
      std::lock_guard lock(mutex_);
      events_.clear();
    }
    NewAgent();
    const UpdateRequest request = Publish("c1", 1);
    fs_.CrashAfter(step);
    agent_->Request(request);
    {
      std::unique_lock lock(mutex_);
      const auto deadline = std::chrono::steady_clock::now() + kPatience;
      while (!trial_ && !fs_.crashed() && std::chrono::steady_clock::now() < deadline) {
        changed_.wait_for(lock, std::chrono::milliseconds(2));  // a crash tells nobody
      }
      if (trial_) {
        auto done = std::move(trial_->done);
        lock.unlock();
        done({true, ""});
      }
    }
    agent_.reset();
    fs_.CrashAfter(0);
    fs_.Crash();
    NewAgent();
    EXPECT_TRUE(confirmed_digest_ == factory || confirmed_digest_ == request.model.digest);
    agent_->Request(request);
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, kPatience,
                                  [&] {
                                    if (trial_) {
                                      auto done = std::move(trial_->done);
                                      trial_.reset();
                                      lock.unlock();
                                      done({true, ""});
                                      lock.lock();
                                    }
                                    return !events_.empty() && events_.back().event_type ==
                                                                   v1::DeviceEvent::MODEL_CONFIRMED;
                                  }))
        << "last event "
        << (events_.empty()
                ? "none"
                : std::to_string(events_.back().event_type) + " " + events_.back().reason);
  }
}

TEST(DeviceCommandTest, ChecksWhatItDecodes) {
  const DeviceId device = *DeviceId::Create("gw-01", "m");
  v1::Command command;
  command.set_command_id("c1");
  command.set_device("gw-01/m");
  EXPECT_FALSE(DecodeCommand(command.SerializeAsString(), device).has_value());
  command.mutable_reset_contactor();
  auto decoded = DecodeCommand(command.SerializeAsString(), device);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(std::get<ResetRequest>(*decoded).command_id, "c1");
  command.set_device("gw-02/m");
  EXPECT_FALSE(DecodeCommand(command.SerializeAsString(), device).has_value());
  command.set_device("gw-01/m");
  for (const std::string& bad : {std::string(), std::string(200, 'x'), std::string("a\nb")}) {
    command.set_command_id(bad);
    EXPECT_FALSE(DecodeCommand(command.SerializeAsString(), device).has_value());
  }
  EXPECT_FALSE(DecodeCommand("\xff\xff\xff", device).has_value());
  EXPECT_FALSE(DecodeCommand(std::string(kMaxCommandBytes + 1, '\0'), device).has_value());
}

TEST(ResetLogTest, RemembersOverRestarts) {
  fs::FaultFileSystem fs(1);
  ASSERT_TRUE(fs.MakeDirs("d").has_value());
  {
    auto log = ResetLog::Load(fs, "d/resets");
    ASSERT_TRUE(log.has_value());
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(log->Add("c" + std::to_string(i)).has_value());
  }
  fs.Crash();
  auto log = ResetLog::Load(fs, "d/resets");
  ASSERT_TRUE(log.has_value());
  EXPECT_TRUE(log->Done("c99"));
  EXPECT_TRUE(log->Done("c36"));
  EXPECT_FALSE(log->Done("c1"));
}

}  // namespace
}  // namespace edgeloop::gateway
