// The level-1 loop of one device: source -> windows -> score -> contactor -> records. Nothing in it
// waits for disk or network: what it makes goes into the record store's memory.
#pragma once

#include <atomic>
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
#include "contracts/ids/ids.h"
#include "runtime/fs/file_system.h"
#include "runtime/metrics/metrics.h"
#include "things/gateway/actuate/actuator.h"
#include "things/gateway/sense/clock.h"
#include "things/gateway/sense/loaded_model.h"
#include "things/gateway/sense/trial.h"
#include "things/gateway/sensors/source.h"
#include "things/gateway/store/record_store.h"

namespace edgeloop::v1 {
class TelemetryRecord;
}

namespace edgeloop::gateway {

// One segment that a source was told to play.
struct SegmentProgress {
  std::string id;
  std::string state = "queued";  // playing, done, looping, failed
  uint64_t from_ns = 0;          // sensing time of its first and last sample
  uint64_t to_ns = 0;
  uint64_t windows = 0;
  std::string error;
};

struct LoopStatus {
  uint64_t windows = 0;
  uint64_t glitches = 0;  // windows with samples that are not finite
  uint64_t alarms = 0;    // rising edges
  uint64_t trips = 0;
  bool contactor_open = false;
  std::string model_digest;
  uint32_t model_version = 0;
  bool trial = false;
  std::vector<uint32_t> latencies_us;  // of the last trips
  std::vector<SegmentProgress> segments;
};

class DeviceLoop {
 public:
  struct Options {
    std::string device_id;
    double pace = 1.0;  // 1: real time, 2: twice as fast, 0: as fast as the store takes it
    bool raw_on_alarm = false;
    std::string latch_path;  // exists while tripped: a restart does not close the contactor
  };
  struct Parts {
    sensors::Source& source;
    Actuator& actuator;
    RecordStore& store;
    fs::FileSystem& fs;
    Clock& clock;
    metrics::Registry& metrics;
  };
  using TrialDone = std::function<void(const TrialOutcome&)>;

  // Puts the contactor where the latch says it was and records EVENT BOOTED.
  static Expected<std::unique_ptr<DeviceLoop>> Create(Options options, Parts parts,
                                                      std::unique_ptr<LoadedModel> confirmed);
  ~DeviceLoop();  // stops

  void Start();  // on a thread of its own
  void Stop();
  // One block of samples or one command; false when there is nothing to do. For tests, and what the
  // thread runs.
  bool Step();

  // Thread-safe from here on. What is asked for happens between two blocks of samples.
  void Play(std::vector<sensors::Segment> segments, bool loop_last);
  void ResetContactor(std::string command_id);
  // `done` runs on the loop's thread, once, unless the loop stops or another trial replaces it.
  void StartTrial(std::unique_ptr<LoadedModel> candidate, TrialDone done);
  // The candidate whose trial has ended becomes the confirmed model, or is let go.
  void EndTrial(bool promote);
  LoopStatus status() const;

 private:
  struct Mailbox {
    std::optional<std::vector<sensors::Segment>> segments;
    bool loop_last = false;
    std::vector<std::string> resets;
    std::unique_ptr<LoadedModel> candidate;
    TrialDone done;
    std::optional<bool> end_trial;
    bool empty() const { return !segments && resets.empty() && !candidate && !end_trial; }
  };
  struct Meters {
    metrics::Counter windows, glitches, alarms, trips;
    metrics::Histogram latency_s, compute_s;
    metrics::Gauge model_version, contactor_open;
  };

  DeviceLoop(Options options, Parts parts, std::unique_ptr<LoadedModel> confirmed);
  void Run();
  void TakeMail();
  bool BeginSegment();
  void EndSegment();
  void ProcessBlock(size_t frames);
  void FinishWindow(const node::WindowResult& window, uint64_t sensed_at_ns, uint64_t arrived_ns);
  void MoveContactor(bool open);
  void SetLatch(bool tripped);
  void Promote();
  void FillRecord(v1::TelemetryRecord* record) const;
  void Append(Kind kind, const v1::TelemetryRecord& record);
  void AppendEvent(int type, const std::string& command_id);
  uint64_t FrameTimeNs(uint64_t frame) const;

  const Options options_;
  Parts p_;
  const sensors::Format format_;
  Meters meters_;

  // The loop's own.
  std::unique_ptr<LoadedModel> confirmed_;
  std::optional<Trial> trial_;
  TrialDone trial_done_;
  std::vector<sensors::Segment> segments_;
  bool loop_last_ = false;
  size_t current_ = 0;  // index of the segment that is next or playing
  bool playing_ = false;
  uint64_t repetition_ = 0;  // of the last segment, when looping
  std::vector<float> block_;
  uint64_t frames_to_window_ = 0;  // until the confirmed model completes one
  uint64_t origin_unix_ns_ = 0;    // time of frame 0 of the segment
  uint64_t origin_mono_ns_ = 0;
  uint64_t frames_played_ = 0;  // of the segment
  uint64_t end_unix_ns_ = 0;    // no earlier segment reaches beyond
  uint64_t window_index_ = 0;
  bool alarm_ = false;
  bool contactor_open_ = false;

  std::mutex mail_mutex_;
  std::condition_variable mail_arrived_;
  Mailbox mail_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex status_mutex_;
  LoopStatus status_;
  std::thread thread_;
};

}  // namespace edgeloop::gateway
