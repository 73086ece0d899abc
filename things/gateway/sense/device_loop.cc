#include "things/gateway/sense/device_loop.h"

#include <algorithm>
#include <utility>

#include "contracts/proto/edgeloop/v1/edgeloop.pb.h"
#include "runtime/log/log.h"

namespace edgeloop::gateway {
namespace {

constexpr uint64_t kNsPerS = 1'000'000'000;
// Commands are looked at between blocks: a block lasts no longer than this.
constexpr uint32_t kBlocksPerS = 20;
// A loop that is later than this has been suspended: it goes on from now instead of catching up.
constexpr uint64_t kMaxLagNs = 2 * kNsPerS;
// Label intervals contain the windows of a segment although times are rounded to nanoseconds.
constexpr uint64_t kIntervalSlackNs = 1'000;
constexpr size_t kLatenciesKept = 1'024;

}  // namespace

Expected<std::unique_ptr<DeviceLoop>> DeviceLoop::Create(Options options, Parts parts,
                                                         std::unique_ptr<LoadedModel> confirmed) {
  const sensors::Format format = parts.source.format();
  if (confirmed->model().channels() != format.channels ||
      confirmed->model().sample_rate_hz() != format.sample_rate_hz) {
    return Fail(ErrorCode::kInvalidArgument,
                options.device_id + ": the model wants " +
                    std::to_string(confirmed->model().channels()) + " channels at " +
                    std::to_string(confirmed->model().sample_rate_hz()) + " Hz, the source gives " +
                    std::to_string(format.channels) + " at " +
                    std::to_string(format.sample_rate_hz));
  }
  std::unique_ptr<DeviceLoop> loop(new DeviceLoop(std::move(options), parts, std::move(confirmed)));
  const bool tripped = parts.fs.Open(loop->options_.latch_path, fs::OpenMode::kRead).has_value();
  if (tripped) loop->confirmed_->node().LatchTrip();
  loop->contactor_open_ = !tripped;  // so that it is moved
  loop->MoveContactor(tripped);
  loop->AppendEvent(v1::DeviceEvent::BOOTED, "");
  return loop;
}

DeviceLoop::DeviceLoop(Options options, Parts parts, std::unique_ptr<LoadedModel> confirmed)
    : options_(std::move(options)),
      p_(parts),
      format_(parts.source.format()),
      confirmed_(std::move(confirmed)) {
  const metrics::Labels labels = {{"device", options_.device_id}};
  metrics::Registry& m = p_.metrics;
  meters_ = {
      .windows = m.AddCounter("edgeloop_windows_total", "Windows judged.", labels),
      .glitches = m.AddCounter("edgeloop_glitch_windows_total",
                               "Windows with samples that are not finite.", labels),
      .alarms = m.AddCounter("edgeloop_alarms_total", "Rising edges of the alarm.", labels),
      .trips = m.AddCounter("edgeloop_trips_total", "Times the latch has tripped.", labels),
      .latency_s = m.AddHistogram(
          "edgeloop_actuation_latency_seconds",
          "Arrival of the last sample of the window until the actuator has moved.",
          {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1}, labels),
      .compute_s = m.AddHistogram(
          "edgeloop_window_compute_seconds", "Processor time of features and score of a window.",
          {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05}, labels),
      .model_version =
          m.AddGauge("edgeloop_model_version", "Version of the confirmed model.", labels),
      .contactor_open = m.AddGauge("edgeloop_contactor_open", "1 when open.", labels),
  };
  meters_.model_version.Set(confirmed_->model().version());
  status_.model_digest = confirmed_->digest();
  status_.model_version = confirmed_->model().version();
}

DeviceLoop::~DeviceLoop() { Stop(); }

void DeviceLoop::Start() {
  thread_ = std::thread([this] { Run(); });
}

void DeviceLoop::Stop() {
  {
    std::lock_guard lock(mail_mutex_);
    stopping_ = true;
  }
  mail_arrived_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void DeviceLoop::Run() {
  while (!stopping_) {
    if (Step()) continue;
    std::unique_lock lock(mail_mutex_);
    mail_arrived_.wait(lock, [this] { return stopping_ || !mail_.empty(); });
  }
}

bool DeviceLoop::Step() {
  TakeMail();
  if (!playing_) {
    if (!BeginSegment()) return false;
    if (!playing_) return true;  // that one cannot be played; the next may
  }
  const size_t channels = format_.channels;
  const size_t most = std::max<size_t>(1, format_.sample_rate_hz / kBlocksPerS);
  const size_t frames = std::min<size_t>(most, frames_to_window_);
  block_.resize(frames * channels);
  auto read = p_.source.Read(block_);
  if (!read) {
    log::Error("source failed",
               {{"device", options_.device_id}, {"error", read.error().message()}});
    std::lock_guard lock(status_mutex_);
    status_.segments[current_].error = read.error().message();
  }
  if (!read || *read == 0) {
    EndSegment();
    return true;
  }
  ProcessBlock(*read);
  return true;
}

void DeviceLoop::TakeMail() {
  Mailbox mail;
  {
    std::lock_guard lock(mail_mutex_);
    if (mail_.empty()) return;
    mail = std::exchange(mail_, {});
  }
  if (mail.candidate) {
    trial_.emplace(std::move(mail.candidate), p_.clock);
    trial_done_ = std::move(mail.done);
  }
  if (mail.end_trial) {
    if (*mail.end_trial && trial_) Promote();
    trial_.reset();
  }
  {
    std::lock_guard lock(status_mutex_);
    status_.trial = trial_.has_value();
  }
  for (const std::string& command_id : mail.resets) {
    confirmed_->node().ClearTrip();
    SetLatch(false);
    MoveContactor(false);
    AppendEvent(v1::DeviceEvent::CONTACTOR_RESET, command_id);
  }
  if (mail.segments) {
    segments_ = std::move(*mail.segments);
    loop_last_ = mail.loop_last;
    current_ = 0;
    repetition_ = 0;
    playing_ = false;
    std::lock_guard lock(status_mutex_);
    status_.segments.clear();
    for (const auto& segment : segments_) status_.segments.push_back({.id = segment.id});
  }
}

bool DeviceLoop::BeginSegment() {
  if (current_ >= segments_.size()) return false;
  const bool last = current_ + 1 == segments_.size();
  const Status begun = p_.source.Begin(segments_[current_].Repetition(repetition_));
  std::unique_lock lock(status_mutex_);
  SegmentProgress& progress = status_.segments[current_];
  if (!begun) {
    progress.state = "failed";
    progress.error = begun.error().message();
    log::Error(
        "segment cannot be played",
        {{"device", options_.device_id}, {"segment", progress.id}, {"error", progress.error}});
    ++current_;
    return current_ < segments_.size();
  }
  confirmed_->node().Reset();
  if (trial_) trial_->Reset();
  alarm_ = false;
  playing_ = true;
  frames_to_window_ = confirmed_->model().window();
  frames_played_ = 0;
  origin_unix_ns_ = std::max(p_.clock.UnixNs(), end_unix_ns_);
  origin_mono_ns_ = p_.clock.MonotonicNs();
  if (repetition_ == 0) progress.from_ns = origin_unix_ns_ - kIntervalSlackNs;
  progress.state = last && loop_last_ ? "looping" : "playing";
  return true;
}

void DeviceLoop::EndSegment() {
  playing_ = false;
  end_unix_ns_ = FrameTimeNs(frames_played_);
  std::lock_guard lock(status_mutex_);
  SegmentProgress& progress = status_.segments[current_];
  const bool failed = !progress.error.empty();
  if (!failed && frames_played_ > 0 && loop_last_ && current_ + 1 == segments_.size()) {
    ++repetition_;
    return;
  }
  progress.state = failed ? "failed" : "done";
  ++current_;
}

uint64_t DeviceLoop::FrameTimeNs(uint64_t frame) const {
  const uint64_t rate = format_.sample_rate_hz;
  return origin_unix_ns_ + frame / rate * kNsPerS + frame % rate * kNsPerS / rate;
}

void DeviceLoop::ProcessBlock(size_t frames) {
  const std::span<const float> block(block_.data(), frames * format_.channels);
  frames_played_ += frames;
  uint64_t arrived_ns = p_.clock.MonotonicNs();
  if (options_.pace > 0) {
    const double since_origin_s = static_cast<double>(frames_played_) / format_.sample_rate_hz;
    const uint64_t due_ns =
        origin_mono_ns_ + static_cast<uint64_t>(since_origin_s / options_.pace * 1e9);
    if (due_ns > arrived_ns) {
      p_.clock.SleepUntil(due_ns);
    } else if (arrived_ns - due_ns > kMaxLagNs) {
      const uint64_t lag_ns = arrived_ns - due_ns;
      log::Warning("the loop was suspended, going on from now",
                   {{"device", options_.device_id}, {"lag_ms", lag_ns / 1'000'000}});
      origin_mono_ns_ += lag_ns;
      origin_unix_ns_ += lag_ns;
      p_.clock.SleepUntil(due_ns + lag_ns);
      confirmed_->node().Reset();
      frames_to_window_ = confirmed_->model().window();
      return;
    }
    arrived_ns = due_ns;
  }
  frames_to_window_ -= frames;
  const uint64_t sensed_at_ns = FrameTimeNs(frames_played_ - 1);
  {
    std::lock_guard lock(status_mutex_);
    status_.segments[current_].to_ns = sensed_at_ns + kIntervalSlackNs;
  }
  node::WindowResult window;
  bool done = false;
  const uint64_t cpu_ns = p_.clock.ThreadCpuNs();
  (void)confirmed_->node().Push(block, &window, &done);  // takes all: blocks end with windows
  if (done) {
    FinishWindow(window, sensed_at_ns, arrived_ns);
    meters_.compute_s.Observe(static_cast<double>(p_.clock.ThreadCpuNs() - cpu_ns) / 1e9);
  }
  if (trial_ && trial_done_) {
    if (done && window.code == core::Code::kOk) trial_->SawConfirmed(window.alarm);
    trial_->Push(block);
    if (auto outcome = trial_->Outcome()) std::exchange(trial_done_, nullptr)(*outcome);
  }
  if (options_.pace == 0) {
    while (!stopping_ && !p_.store.WaitForRoom(std::chrono::milliseconds(100))) {
    }
  }
}

void DeviceLoop::FinishWindow(const node::WindowResult& window, uint64_t sensed_at_ns,
                              uint64_t arrived_ns) {
  uint32_t latency_us = 0;
  if (window.open_contactor && !contactor_open_) {
    // First of all: everything else can wait.
    MoveContactor(true);
    latency_us = static_cast<uint32_t>((p_.clock.MonotonicNs() - arrived_ns + 999) / 1'000);
  }
  frames_to_window_ = confirmed_->model().hop();
  const bool alarm_edge = window.code == core::Code::kOk && window.alarm && !alarm_;
  if (window.code == core::Code::kOk) alarm_ = window.alarm;

  v1::TelemetryRecord record;
  FillRecord(&record);
  record.set_sensed_at_ns(sensed_at_ns);
  record.set_window_index(window_index_++);  // goes on over model changes
  record.set_score(window.score);
  record.set_alarm(window.alarm);
  record.set_trip(window.trip);
  if (window.code == core::Code::kOk) {
    v1::TelemetryRecord features = record;
    features.mutable_features()->Add(window.features.begin(), window.features.end());
    Append(Kind::kFeatures, features);
  }
  if (alarm_edge && options_.raw_on_alarm) {
    v1::TelemetryRecord raw = record;
    raw.mutable_raw()->set_channels(format_.channels);
    raw.mutable_raw()->set_samples_f32le(window.samples.data(), window.samples.size_bytes());
    Append(Kind::kRaw, raw);
  }
  if (window.trip_edge) {
    record.set_actuation_latency_us(latency_us);
    Append(Kind::kAlarm, record);
    SetLatch(true);
    log::Warning("tripped", {{"device", options_.device_id},
                             {"score", window.score},
                             {"actuation_latency_us", latency_us}});
  }

  meters_.windows.Add();
  if (window.code != core::Code::kOk) meters_.glitches.Add();
  if (alarm_edge) meters_.alarms.Add();
  if (window.trip_edge) meters_.trips.Add();
  if (latency_us != 0) meters_.latency_s.Observe(latency_us / 1e6);
  std::lock_guard lock(status_mutex_);
  ++status_.windows;
  ++status_.segments[current_].windows;
  status_.glitches += window.code != core::Code::kOk ? 1 : 0;
  status_.alarms += alarm_edge ? 1 : 0;
  status_.trips += window.trip_edge ? 1 : 0;
  if (latency_us != 0) {
    if (status_.latencies_us.size() == kLatenciesKept) {
      status_.latencies_us.erase(status_.latencies_us.begin());
    }
    status_.latencies_us.push_back(latency_us);
  }
}

void DeviceLoop::MoveContactor(bool open) {
  if (open == contactor_open_) return;
  if (Status status = p_.actuator.SetOpen(open); !status) {
    // Stays as it was: a tripped device tries again with the next window.
    log::Error(
        "the contactor did not move",
        {{"device", options_.device_id}, {"open", open}, {"error", status.error().message()}});
    return;
  }
  contactor_open_ = open;
  p_.source.SetEnergised(!open);
  meters_.contactor_open.Set(open ? 1 : 0);
  std::lock_guard lock(status_mutex_);
  status_.contactor_open = open;
}

void DeviceLoop::SetLatch(bool tripped) {
  Status status;
  if (tripped) {
    status = fs::WriteFileAtomically(p_.fs, options_.latch_path, {});
  } else if (p_.fs.Open(options_.latch_path, fs::OpenMode::kRead)) {
    status = p_.fs.Remove(options_.latch_path);
    if (status) status = p_.fs.SyncDir(fs::ParentDir(options_.latch_path));
  }
  if (!status) {
    log::Error("the latch is not durable",
               {{"device", options_.device_id}, {"error", status.error().message()}});
  }
}

void DeviceLoop::Promote() {
  const bool tripped = confirmed_->node().tripped();
  confirmed_ = trial_->TakeCandidate();
  // Its decisions begin now: nothing it saw in shadow may trip the machine.
  confirmed_->node().Reset();
  confirmed_->node().ClearTrip();
  if (tripped) confirmed_->node().LatchTrip();
  frames_to_window_ = confirmed_->model().window();
  alarm_ = false;
  meters_.model_version.Set(confirmed_->model().version());
  std::lock_guard lock(status_mutex_);
  status_.model_digest = confirmed_->digest();
  status_.model_version = confirmed_->model().version();
}

void DeviceLoop::FillRecord(v1::TelemetryRecord* record) const {
  record->set_window_samples(confirmed_->model().window());
  record->set_sample_rate_hz(format_.sample_rate_hz);
  record->set_actuator_open(contactor_open_);
  record->set_model_digest(confirmed_->digest());
  record->set_model_version(confirmed_->model().version());
}

void DeviceLoop::Append(Kind kind, const v1::TelemetryRecord& record) {
  p_.store.Append(kind, record.SerializeAsString());
}

void DeviceLoop::AppendEvent(int type, const std::string& command_id) {
  v1::TelemetryRecord record;
  FillRecord(&record);
  record.set_sensed_at_ns(p_.clock.UnixNs());
  record.set_trip(confirmed_->node().tripped());
  v1::DeviceEvent& event = *record.mutable_event();
  event.set_type(static_cast<v1::DeviceEvent::Type>(type));
  event.set_model_digest(confirmed_->digest());
  event.set_model_version(confirmed_->model().version());
  event.set_command_id(command_id);
  Append(Kind::kEvent, record);
}

void DeviceLoop::Play(std::vector<sensors::Segment> segments, bool loop_last) {
  {
    std::lock_guard lock(mail_mutex_);
    mail_.segments = std::move(segments);
    mail_.loop_last = loop_last;
  }
  mail_arrived_.notify_all();
}

void DeviceLoop::ResetContactor(std::string command_id) {
  {
    std::lock_guard lock(mail_mutex_);
    mail_.resets.push_back(std::move(command_id));
  }
  mail_arrived_.notify_all();
}

void DeviceLoop::StartTrial(std::unique_ptr<LoadedModel> candidate, TrialDone done) {
  {
    std::lock_guard lock(mail_mutex_);
    mail_.candidate = std::move(candidate);
    mail_.done = std::move(done);
    mail_.end_trial.reset();
  }
  mail_arrived_.notify_all();
}

void DeviceLoop::EndTrial(bool promote) {
  {
    std::lock_guard lock(mail_mutex_);
    mail_.end_trial = promote;
  }
  mail_arrived_.notify_all();
}

LoopStatus DeviceLoop::status() const {
  std::lock_guard lock(status_mutex_);
  return status_;
}

}  // namespace edgeloop::gateway
