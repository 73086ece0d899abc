// Samples to features.
#include <algorithm>

#include "core/base/bytes.h"
#include "core/dsp/envelope.h"
#include "core/dsp/fft.h"
#include "core/dsp/spectrum.h"
#include "core/dsp/statistics.h"
#include "core/model/model.h"
#include "core/model/op.h"
#include "core/model/workspace.h"

namespace edgeloop::model {
namespace {

float Amplitude(Scale scale, float value) {
  return scale == Scale::kLog ? dsp::LogAmplitude(value) : value;
}

void TimeFeature(Op op, std::span<const float> x, const dsp::Statistics& s, float rate_hz,
                 std::span<float> out) {
  switch (op.kind()) {
    case OpKind::kRms:
    case OpKind::kEnvRms:
      out[0] = Amplitude(op.scale(), s.rms);
      break;
    case OpKind::kPeak:
      out[0] = Amplitude(op.scale(), s.peak);
      break;
    case OpKind::kCrest:
      out[0] = s.crest;
      break;
    case OpKind::kKurtosis:
    case OpKind::kEnvKurtosis:
      out[0] = s.kurtosis;
      break;
    case OpKind::kSkewness:
      out[0] = s.skewness;
      break;
    case OpKind::kZeroCrossings:
      out[0] = dsp::ZeroCrossingRate(x, rate_hz);
      break;
    default:
      break;
  }
}

void Bands(Op op, std::span<const float> power, std::span<float> out) {
  const std::size_t half = power.size() - 1;
  const float total = op.scale() == Scale::kRatio ? dsp::Sum(power.subspan(1)) : 0.0F;
  for (unsigned b = 0; b < op.count(); ++b) {
    const float band = dsp::BandPower(power, dsp::BandBins(op.edge(b), op.edge(b + 1), half));
    switch (op.scale()) {
      case Scale::kLinear:
        out[b] = band;
        break;
      case Scale::kLog:
        out[b] = dsp::LogPower(band);
        break;
      case Scale::kRatio:
        out[b] = total < dsp::kPowerFloor ? 0.0F : band / total;
        break;
    }
  }
}

void SpectralFeature(Op op, std::span<const float> power, float rate_hz, std::span<float> out) {
  switch (op.kind()) {
    case OpKind::kBands:
    case OpKind::kEnvBands:
      Bands(op, power, out);
      break;
    case OpKind::kDominant:
    case OpKind::kDominantAmplitude:
    case OpKind::kEnvPeak: {
      dsp::SpectralPeak peaks[kMaxDominant];
      dsp::FindPeaks(power, rate_hz, {peaks, op.count()});
      for (unsigned i = 0; i < op.count(); ++i) {
        out[i] = op.kind() == OpKind::kDominantAmplitude ? Amplitude(op.scale(), peaks[i].amplitude)
                                                         : peaks[i].hz;
      }
      break;
    }
    case OpKind::kCentroid:
      out[0] = dsp::Centroid(power, rate_hz);
      break;
    default:
      break;
  }
}

// One channel's way through the pipeline; the scratch goes from channel to channel.
class ChannelPipeline {
 public:
  ChannelPipeline(FeatureScratch scratch, dsp::WindowKind window_kind, dsp::BinRange envelope_band,
                  float rate_hz)
      : scratch_(scratch),
        fft_(scratch.samples.size(), scratch.tables),
        envelope_band_(envelope_band),
        rate_hz_(rate_hz) {
    dsp::FillWindow(window_kind, scratch_.window);
    window_power_ = dsp::WindowPower(scratch_.window);
  }

  // The channel's samples, to be filled before Run().
  std::span<float> samples() { return scratch_.samples; }

  // Returns the number of features written to the front of `out`.
  std::size_t Run(Op ops, unsigned op_count, unsigned channel, std::span<float> out) {
    bool spectrum = false;
    bool envelope = false;
    std::size_t features = 0;
    ForEach(ops, op_count, channel, out, [&](Op op, std::span<float> of_op) {
      spectrum |= op.UsesSpectrum();
      envelope |= op.UsesEnvelope();
      features += of_op.size();
    });
    const std::span<float> x = scratch_.samples;
    dsp::RemoveMean(x);
    dsp::Statistics statistics = dsp::ComputeStatistics(x);
    ForEach(ops, op_count, channel, out, [&](Op op, std::span<float> of_op) {
      if (op.kind() < OpKind::kBands) TimeFeature(op, x, statistics, rate_hz_, of_op);
    });
    if (spectrum) {
      const std::span<const float> power = TaperedPower();
      ForEach(ops, op_count, channel, out, [&](Op op, std::span<float> of_op) {
        if (op.UsesSpectrum()) SpectralFeature(op, power, rate_hz_, of_op);
      });
    }
    if (envelope) {
      dsp::EnvelopeInPlace(fft_, envelope_band_, x, scratch_.a, scratch_.b);
      dsp::RemoveMean(x);
      statistics = dsp::ComputeStatistics(x);
      const std::span<const float> power = TaperedPower();
      ForEach(ops, op_count, channel, out, [&](Op op, std::span<float> of_op) {
        if (!op.UsesEnvelope()) return;
        TimeFeature(op, x, statistics, rate_hz_, of_op);
        SpectralFeature(op, power, rate_hz_, of_op);
      });
    }
    return features;
  }

 private:
  // Calls visit(op, where its features go) for the operations of a channel, in order.
  template <typename Visit>
  static void ForEach(Op op, unsigned op_count, unsigned channel, std::span<float> out,
                      Visit visit) {
    std::size_t at = 0;
    for (unsigned i = 0; i < op_count; ++i, op = op.next()) {
      if (!op.RunsOn(channel)) continue;
      visit(op, out.subspan(at, op.count()));
      at += op.count();
    }
  }

  // Power spectrum of what is in samples(), which stays; lies in scratch b.
  std::span<const float> TaperedPower() {
    const std::size_t n = fft_.size();
    const std::size_t bins = n / 2 + 1;
    for (std::size_t i = 0; i < n; ++i) {
      scratch_.b[i] = scratch_.samples[i] * scratch_.window[i];
    }
    const std::span<float> re = scratch_.a.first(bins), im = scratch_.a.subspan(bins, bins);
    fft_.Forward(scratch_.b, re, im);
    dsp::PowerFromBins(re, im, window_power_, scratch_.b.first(bins));
    return scratch_.b.first(bins);
  }

  FeatureScratch scratch_;
  dsp::RealFft fft_;
  dsp::BinRange envelope_band_;
  float rate_hz_;
  float window_power_ = 0;
};

}  // namespace

core::Code Model::Features(std::span<const float> samples, std::span<std::byte> workspace,
                           std::span<float> out) const {
  const std::size_t n = window_;
  if (n == 0 || samples.size() != n * channels_ || out.size() != feature_count_) {
    return core::Code::kBadSize;
  }
  const std::span<float> floats = AsFloats(workspace, FeatureScratch::Floats(n));
  if (floats.empty()) return core::Code::kBadWorkspace;

  ChannelPipeline pipeline(FeatureScratch(floats, n), window_kind_,
                           dsp::BandBins(envelope_low_, envelope_high_, n / 2),
                           static_cast<float>(sample_rate_hz_));
  std::size_t done = 0;
  for (unsigned channel = 0; channel < channels_; ++channel) {
    const std::span<float> x = pipeline.samples();
    for (std::size_t i = 0; i < n; ++i) {
      x[i] = samples[i * channels_ + channel];
      if (!core::IsFinite(x[i])) return core::Code::kNotFinite;
    }
    done += pipeline.Run(Op(ops_.data()), op_count_, channel, out.subspan(done));
  }
  const bool finite = std::all_of(out.begin(), out.end(), core::IsFinite);
  return finite ? core::Code::kOk : core::Code::kNotFinite;
}

}  // namespace edgeloop::model
