// Plays recordings of a folder.
#include <algorithm>
#include <cmath>

#include "things/gateway/sensors/recordings.h"
#include "things/gateway/sensors/source.h"

namespace edgeloop::sensors {
namespace {

class ReplaySource final : public Source {
 public:
  ReplaySource(Catalogue catalogue, Format format)
      : catalogue_(std::move(catalogue)), format_(std::move(format)) {}

  Format format() const override { return format_; }

  Status Begin(const Segment& segment) override {
    remaining_ = 0;
    const auto* replay = std::get_if<ReplaySegment>(&segment.content);
    if (replay == nullptr) {
      return Fail(ErrorCode::kInvalidArgument,
                  "segment '" + segment.id + "': a replay source needs \"file\"");
    }
    if (Status status = Start(*replay); !status) {
      return Fail(status.error(), "segment '" + segment.id + "'");
    }
    return {};
  }

  Expected<size_t> Read(std::span<float> frames) override {
    const size_t channels = format_.channels;
    size_t filled = 0;
    const size_t wanted = frames.size() / channels;
    while (filled < wanted && remaining_ > 0) {
      const size_t count = std::min(wanted - filled, end_ - at_);
      std::copy_n(samples_.begin() + static_cast<long>(at_ * channels), count * channels,
                  frames.begin() + static_cast<long>(filled * channels));
      filled += count;
      at_ += count;
      if (at_ == end_) {
        at_ = begin_;
        --remaining_;
      }
    }
    return filled;
  }

  void SetEnergised(bool) override {}  // a recording cannot react

 private:
  Status Start(const ReplaySegment& replay) {
    const auto found =
        std::find_if(catalogue_.recordings.begin(), catalogue_.recordings.end(),
                     [&](const Recording& recording) { return recording.file == replay.file; });
    if (found == catalogue_.recordings.end()) {
      return Fail(ErrorCode::kNotFound,
                  "no recording '" + replay.file + "' in the index of " + catalogue_.dir);
    }
    if (found->sample_rate_hz != format_.sample_rate_hz || found->channels != format_.channels) {
      return Fail(ErrorCode::kInvalidArgument,
                  "'" + replay.file + "' has " + std::to_string(found->channels) + " channels at " +
                      std::to_string(found->sample_rate_hz) + " Hz, this source plays " +
                      std::to_string(format_.channels) + " at " +
                      std::to_string(format_.sample_rate_hz) + " Hz");
    }
    const auto n = static_cast<double>(found->samples);
    const auto begin = static_cast<size_t>(std::floor(replay.from * n)) + replay.phase;
    const auto end = static_cast<size_t>(std::floor(replay.to * n));
    if (begin >= end) {
      return Fail(ErrorCode::kInvalidArgument, "nothing is left of '" + replay.file +
                                                   "' between frames " + std::to_string(begin) +
                                                   " and " + std::to_string(end));
    }
    if (loaded_ != replay.file) {
      loaded_.clear();
      auto samples = ReadSamples(catalogue_.dir, *found);
      if (!samples) return Fail(samples.error());
      samples_ = std::move(*samples);
      loaded_ = replay.file;
    }
    begin_ = at_ = begin;
    end_ = end;
    remaining_ = replay.repeat;
    return {};
  }

  const Catalogue catalogue_;
  const Format format_;
  std::string loaded_;                   // the recording that samples_ holds
  std::vector<float> samples_;           // all of it, interleaved
  size_t begin_ = 0, end_ = 0, at_ = 0;  // frames
  uint32_t remaining_ = 0;               // passes, with the one under way
};

}  // namespace

Expected<std::unique_ptr<Source>> CreateReplaySource(const ReplayOptions& options) {
  auto catalogue = ReadCatalogue(options.dir);
  if (!catalogue) return Fail(catalogue.error());
  RateAndChannels wanted = MainFormat(*catalogue);
  if (options.sample_rate_hz != 0) wanted.sample_rate_hz = options.sample_rate_hz;
  if (options.channels != 0) wanted.channels = options.channels;
  for (const Recording& recording : catalogue->recordings) {
    if (recording.sample_rate_hz != wanted.sample_rate_hz ||
        recording.channels != wanted.channels) {
      continue;
    }
    Format format{wanted.sample_rate_hz, wanted.channels, recording.channel_names, recording.units};
    return std::make_unique<ReplaySource>(std::move(*catalogue), std::move(format));
  }
  return Fail(ErrorCode::kNotFound, options.dir + ": no recording has " +
                                        std::to_string(wanted.channels) + " channels at " +
                                        std::to_string(wanted.sample_rate_hz) + " Hz");
}

}  // namespace edgeloop::sensors
