// Byte offsets of the .elm format, version 1 (docs/spec/elm.md). All numbers little-endian.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/model/params.h"

namespace edgeloop::model::layout {

inline constexpr std::uint8_t kMagic[4] = {'E', 'L', 'M', '1'};
inline constexpr std::uint16_t kFormatVersion = 1;

// Header.
inline constexpr std::size_t kFormatVersionAt = 4;        // u16
inline constexpr std::size_t kHeaderBytesAt = 6;          // u16
inline constexpr std::size_t kFileBytesAt = 8;            // u32, checksum included
inline constexpr std::size_t kModelVersionAt = 12;        // u32
inline constexpr std::size_t kNameAt = 16;                // 48 bytes, zero-padded
inline constexpr std::size_t kSampleRateAt = 64;          // u32
inline constexpr std::size_t kWindowAt = 68;              // u32
inline constexpr std::size_t kHopAt = 72;                 // u32
inline constexpr std::size_t kChannelsAt = 76;            // u8
inline constexpr std::size_t kWindowKindAt = 77;          // u8
inline constexpr std::size_t kFeatureCountAt = 78;        // u16
inline constexpr std::size_t kOpCountAt = 80;             // u16
inline constexpr std::size_t kReserved82At = 82;          // u16
inline constexpr std::size_t kPipelineBytesAt = 84;       // u32
inline constexpr std::size_t kNormalizationBytesAt = 88;  // u32
inline constexpr std::size_t kNetworkBytesAt = 92;        // u32
inline constexpr std::size_t kEnvelopeLowAt = 96;         // f32
inline constexpr std::size_t kEnvelopeHighAt = 100;       // f32
inline constexpr std::size_t kAlarmOnAt = 104;            // f32
inline constexpr std::size_t kAlarmOffAt = 108;           // f32
inline constexpr std::size_t kTripCountAt = 112;          // u8
inline constexpr std::size_t kTripWindowAt = 113;         // u8
inline constexpr std::size_t kActionAt = 114;             // u8
inline constexpr std::size_t kReserved115At = 115;        // u8
inline constexpr std::size_t kProbationAt = 116;          // u16
inline constexpr std::size_t kReserved118At = 118;        // u16
inline constexpr std::size_t kMaxAlarmFractionAt = 120;   // f32
inline constexpr std::size_t kMaxComputeAt = 124;         // u32
inline constexpr std::size_t kHeaderBytes = 128;
inline constexpr std::size_t kChecksumBytes = 4;  // u32 CRC-32C of all bytes before, at the end
inline constexpr std::size_t kMinFileBytes = kHeaderBytes + kChecksumBytes;

// Pipeline: op_count records of an op header and f32 band edges.
inline constexpr std::size_t kOpKindAt = 0;         // u8
inline constexpr std::size_t kOpChannelMaskAt = 1;  // u8
inline constexpr std::size_t kOpScaleAt = 2;        // u8
inline constexpr std::size_t kOpCountOfAt = 3;      // u8
inline constexpr std::size_t kOpHeaderBytes = 4;

// Normalisation: f32 clip, f32 mean[features], f32 inv_std[features].
inline constexpr std::size_t kClipBytes = 4;

// Network: a header, then layers of a layer header and arrays.
enum class Arithmetic : std::uint8_t { kFloat32 = 1, kInt8 = 2 };
inline constexpr std::size_t kArithmeticAt = 0;       // u8
inline constexpr std::size_t kLayerCountAt = 1;       // u8
inline constexpr std::size_t kNetworkReservedAt = 2;  // u16
inline constexpr std::size_t kInputScaleAt = 4;       // f32, int8 only, else zero bytes
inline constexpr std::size_t kInputZeroPointAt = 8;   // i32, int8 only, else zero bytes
inline constexpr std::size_t kNetworkHeaderBytes = 12;

inline constexpr std::size_t kLayerInputsAt = 0;       // u16
inline constexpr std::size_t kLayerOutputsAt = 2;      // u16
inline constexpr std::size_t kLayerActivationAt = 4;   // u8
inline constexpr std::size_t kLayerReservedAt = 5;     // 3 bytes
inline constexpr std::size_t kOutputScaleAt = 8;       // f32, last int8 layer, else zero bytes
inline constexpr std::size_t kOutputZeroPointAt = 12;  // i32, other int8 layers, else zero bytes
inline constexpr std::size_t kLayerHeaderBytes = 16;

// The int8 weights are followed by zero bytes up to a multiple of 4.
constexpr std::size_t PaddedWeights(std::size_t inputs, std::size_t outputs) {
  return (inputs * outputs + 3) / 4 * 4;
}

// Bytes of a layer, header included.
constexpr std::size_t LayerBytes(Arithmetic arithmetic, std::size_t inputs, std::size_t outputs,
                                 bool last) {
  if (arithmetic == Arithmetic::kFloat32) {
    return kLayerHeaderBytes + 4 * outputs + 4 * inputs * outputs;
  }
  const std::size_t per_output = last ? 4 : 12;  // bias; multiplier and shift
  return kLayerHeaderBytes + per_output * outputs + PaddedWeights(inputs, outputs);
}

}  // namespace edgeloop::model::layout
