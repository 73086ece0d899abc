// RIFF WAVE sound files: PCM of 8, 16, 24, 32 bit, IEEE float of 32 and 64 bit, also as
// WAVE_FORMAT_EXTENSIBLE.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "contracts/error/error.h"

namespace edgeloop::sensors {

struct WavFormat {
  uint32_t sample_rate_hz = 0;
  uint16_t channels = 0;
  uint16_t bits = 0;
  bool is_float = false;
  uint64_t data_offset = 0;
  uint64_t frames = 0;
};

// The chunks before the samples must lie within this many bytes of the file's start.
inline constexpr size_t kMaxWavHeadBytes = 64u << 10;

// `head` is the start of a file of `file_bytes`: all of it or the first kMaxWavHeadBytes.
Expected<WavFormat> ParseWav(std::span<const uint8_t> head, uint64_t file_bytes);

// Interleaved; PCM is scaled so that full scale is -1..1, floats are as stored. `bytes` are of the
// sample data, whole frames. Samples that are not finite are refused.
Expected<std::vector<float>> DecodeWav(const WavFormat& format, std::span<const uint8_t> bytes);

}  // namespace edgeloop::sensors
