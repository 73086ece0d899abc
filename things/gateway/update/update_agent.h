// Model updates of one device: command -> download -> verify -> inactive slot -> trial in shadow ->
// confirmed or reverted. Every step is on disk before the next begins, so a kill at any point
// leaves the confirmed model in place and the update continues or is given up with a reason.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "contracts/error/error.h"
#include "runtime/fs/file_system.h"
#include "runtime/signing/signing.h"
#include "things/gateway/sense/loaded_model.h"
#include "things/gateway/sense/trial.h"
#include "things/gateway/update/model_state.h"

namespace edgeloop::gateway {

inline constexpr int kMaxTrialInterruptions = 2;

class UpdateAgent {
 public:
  struct Options {
    std::string dir;
    std::string factory_model_path;
    uint32_t sample_rate_hz = 0;  // what the device's source gives
    uint8_t channels = 0;
    uint64_t max_model_bytes = kMaxModelBytes;
    int retry_min_ms = 500;  // between attempts of a download, doubling
    int retry_max_ms = 30'000;
  };
  // What the agent acts upon.
  struct Parts {
    fs::FileSystem& fs;
    const signing::Verifier& verifier;
    // The blob with this digest, at most `max_bytes`. kUnavailable and kTimeout are tried again.
    std::function<Expected<std::string>(const std::string& digest, uint64_t max_bytes)> fetch;
    // DeviceLoop::StartTrial and EndTrial.
    std::function<void(std::unique_ptr<LoadedModel>, std::function<void(const TrialOutcome&)>)>
        start_trial;
    std::function<void(bool promote)> end_trial;
    std::function<void(const UpdateAnswer&)> emit;  // an EVENT record
  };

  static Expected<std::unique_ptr<UpdateAgent>> Create(Options options, Parts parts);
  ~UpdateAgent();  // stops

  // The model to start with: the confirmed slot, or the factory model.
  Expected<std::unique_ptr<LoadedModel>> LoadConfirmed();

  void Start();  // goes on with what a restart interrupted, then takes requests
  void Stop();
  // Thread-safe. A newer request for another model replaces one under way.
  void Request(UpdateRequest request);
  // "confirmed", "downloading" or "trial".
  std::string state_name() const;

 private:
  UpdateAgent(Options options, Parts parts, ModelState state)
      : options_(std::move(options)),
        parts_(std::move(parts)),
        slots_(parts_.fs, options_.dir),
        state_(std::move(state)) {}

  void Run();
  void Handle(const UpdateRequest& request);
  // Empty when the request may be followed.
  std::string WhyRefused(const UpdateRequest& request) const;
  void Continue();
  void Download();
  void RunTrial(std::unique_ptr<LoadedModel> candidate);
  // Checks all that can be checked of a candidate without running it.
  Expected<std::unique_ptr<LoadedModel>> Verify(const ModelRef& model, std::vector<uint8_t> bytes);
  // False when the result is not durable.
  bool Finish(int event_type, const std::string& reason);
  bool Answer(UpdateAnswer answer);
  bool Save();
  bool InterruptedLocked() const { return stopping_ || next_; }

  const Options options_;
  const Parts parts_;
  ModelSlots slots_;
  ModelState state_;          // the agent's thread; `phase_` is for others
  std::string start_reason_;  // why the confirmed model could not be used

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::optional<UpdateRequest> next_;
  std::string current_;  // digest of the model being worked on
  std::optional<TrialOutcome> outcome_;
  uint64_t trial_number_ = 0;
  std::string phase_ = "confirmed";
  std::thread thread_;
};

}  // namespace edgeloop::gateway
