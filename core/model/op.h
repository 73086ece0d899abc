// One record of the feature pipeline.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/base/bytes.h"
#include "core/model/layout.h"
#include "core/model/params.h"

namespace edgeloop::model {

// A view of one record; what it holds was verified when the model was opened.
class Op {
 public:
  explicit Op(const std::uint8_t* record) : record_(record) {}

  OpKind kind() const { return static_cast<OpKind>(record_[layout::kOpKindAt]); }
  std::uint8_t channel_mask() const { return record_[layout::kOpChannelMaskAt]; }
  Scale scale() const { return static_cast<Scale>(record_[layout::kOpScaleAt]); }
  unsigned count() const { return record_[layout::kOpCountOfAt]; }  // features a channel
  bool RunsOn(unsigned channel) const { return (channel_mask() >> channel & 1) != 0; }

  bool HasBands() const { return kind() == OpKind::kBands || kind() == OpKind::kEnvBands; }
  bool UsesSpectrum() const { return kind() >= OpKind::kBands && kind() < OpKind::kEnvRms; }
  bool UsesEnvelope() const { return kind() >= OpKind::kEnvRms; }

  // Band b lies between edges b and b + 1, fractions of Nyquist.
  float edge(unsigned index) const {
    return core::LoadF32(record_ + layout::kOpHeaderBytes + 4 * index);
  }
  std::size_t bytes() const {
    return layout::kOpHeaderBytes + (HasBands() ? 4 * (std::size_t{count()} + 1) : 0);
  }
  Op next() const { return Op(record_ + bytes()); }

 private:
  const std::uint8_t* record_;
};

}  // namespace edgeloop::model
