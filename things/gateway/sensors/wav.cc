#include "things/gateway/sensors/wav.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "things/gateway/sensors/source.h"

namespace edgeloop::sensors {
namespace {

constexpr uint16_t kPcm = 1, kIeeeFloat = 3, kExtensible = 0xFFFE;
// Bytes 2..15 of the sub-format GUID that stands for a plain format tag (KSDATAFORMAT_SUBTYPE_*).
constexpr uint8_t kGuidTail[14] = {0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80,
                                   0x00, 0x00, 0xAA, 0x00, 0x38, 0x9B, 0x71};

template <typename T>
T Load(const uint8_t* at) {
  static_assert(std::endian::native == std::endian::little);
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

std::unexpected<Error> Bad(std::string message) {
  return Fail(ErrorCode::kCorrupt, "WAV: " + message);
}

Status ParseFmt(std::span<const uint8_t> chunk, WavFormat* format) {
  if (chunk.size() < 16) return Bad("'fmt ' chunk of " + std::to_string(chunk.size()) + " bytes");
  uint16_t tag = Load<uint16_t>(&chunk[0]);
  format->channels = Load<uint16_t>(&chunk[2]);
  format->sample_rate_hz = Load<uint32_t>(&chunk[4]);
  const uint16_t block = Load<uint16_t>(&chunk[12]);
  format->bits = Load<uint16_t>(&chunk[14]);
  if (tag == kExtensible) {
    if (chunk.size() < 40) return Bad("extensible format without its sub-format");
    tag = Load<uint16_t>(&chunk[24]);
    if (std::memcmp(&chunk[26], kGuidTail, sizeof kGuidTail) != 0) return Bad("unknown sub-format");
  }
  format->is_float = tag == kIeeeFloat;
  const uint16_t bits = format->bits;
  const bool known = tag == kPcm ? bits == 8 || bits == 16 || bits == 24 || bits == 32
                                 : tag == kIeeeFloat && (bits == 32 || bits == 64);
  if (!known) {
    return Bad("format tag " + std::to_string(tag) + " with " + std::to_string(bits) +
               " bits is not supported (PCM 8, 16, 24, 32; float 32, 64)");
  }
  if (format->channels < 1 || format->channels > kMaxChannels) {
    return Bad(std::to_string(format->channels) + " channels; 1.." + std::to_string(kMaxChannels));
  }
  if (format->sample_rate_hz < kMinSampleRateHz || format->sample_rate_hz > kMaxSampleRateHz) {
    return Bad("rate of " + std::to_string(format->sample_rate_hz) + " Hz");
  }
  if (block != format->channels * bits / 8) {
    return Bad("block of " + std::to_string(block) + " bytes does not fit its channels and bits");
  }
  return {};
}

}  // namespace

Expected<WavFormat> ParseWav(std::span<const uint8_t> head, uint64_t file_bytes) {
  if (head.size() < 12 || std::memcmp(&head[0], "RIFF", 4) != 0 ||
      std::memcmp(&head[8], "WAVE", 4) != 0) {
    return Bad("does not start with RIFF....WAVE");
  }
  WavFormat format;
  uint64_t at = 12;
  while (at + 8 <= head.size()) {
    const uint8_t* name = &head[at];
    const uint64_t size = Load<uint32_t>(&head[at + 4]);
    const uint64_t body = at + 8;
    if (std::memcmp(name, "fmt ", 4) == 0) {
      if (body + size > head.size()) return Bad("'fmt ' chunk is cut off");
      if (Status status = ParseFmt(head.subspan(body, size), &format); !status) {
        return Fail(status.error());
      }
    } else if (std::memcmp(name, "data", 4) == 0) {
      if (format.channels == 0) return Bad("'data' chunk before 'fmt '");
      if (body + size > file_bytes) {
        return Bad("'data' chunk of " + std::to_string(size) + " bytes, but the file has " +
                   std::to_string(file_bytes - std::min(body, file_bytes)) +
                   " left: it was cut off");
      }
      const uint64_t frame_bytes = format.channels * format.bits / 8u;
      if (size % frame_bytes != 0) return Bad("'data' chunk ends within a frame");
      format.data_offset = body;
      format.frames = size / frame_bytes;
      return format;
    }
    at = body + size + (size & 1);  // chunks are padded to even length
  }
  return Bad("no 'data' chunk in the first " + std::to_string(head.size()) + " bytes");
}

Expected<std::vector<float>> DecodeWav(const WavFormat& format, std::span<const uint8_t> bytes) {
  const size_t step = format.bits / 8;
  std::vector<float> out(bytes.size() / step);
  for (size_t i = 0; i < out.size(); ++i) {
    const uint8_t* at = &bytes[i * step];
    switch (format.bits + (format.is_float ? 1 : 0)) {
      case 8:
        out[i] = (static_cast<float>(*at) - 128.0f) / 128.0f;  // unsigned, by definition
        break;
      case 16:
        out[i] = static_cast<float>(Load<int16_t>(at)) / 32768.0f;
        break;
      case 24: {
        const uint32_t raw = at[0] | at[1] << 8 | static_cast<uint32_t>(at[2]) << 16;
        out[i] = static_cast<float>(static_cast<int32_t>(raw << 8) >> 8) / 8388608.0f;
        break;
      }
      case 32:
        out[i] = static_cast<float>(Load<int32_t>(at) / 2147483648.0);
        break;
      case 33:
        out[i] = Load<float>(at);
        break;
      default:
        out[i] = static_cast<float>(Load<double>(at));
    }
    if (!std::isfinite(out[i])) return Bad("sample " + std::to_string(i) + " is not finite");
  }
  return out;
}

}  // namespace edgeloop::sensors
