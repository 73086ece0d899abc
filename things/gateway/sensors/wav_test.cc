#include "things/gateway/sensors/wav.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

namespace edgeloop::sensors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <typename T>
std::string Le(T value) {
  std::string out(sizeof value, '\0');
  std::memcpy(out.data(), &value, sizeof value);
  return out;
}

std::string Wav(uint16_t tag, uint16_t channels, uint16_t bits, const std::string& data,
                uint32_t claimed) {
  return "RIFF" + Le<uint32_t>(0) + "WAVEfmt " + Le<uint32_t>(16) + Le(tag) + Le(channels) +
         Le<uint32_t>(8000) + Le<uint32_t>(8000u * channels * bits / 8) +
         Le<uint16_t>(static_cast<uint16_t>(channels * bits / 8)) + Le(bits) + "LIST" +
         Le<uint32_t>(3) + "abc" + std::string(1, '\0') + "data" + Le(claimed) + data;
}
std::string Wav(uint16_t tag, uint16_t channels, uint16_t bits, const std::string& data) {
  return Wav(tag, channels, bits, data, static_cast<uint32_t>(data.size()));
}

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::vector<float> Decode(const std::string& wav) {
  auto format = ParseWav(Bytes(wav), wav.size());
  EXPECT_TRUE(format) << format.error().ToString();
  auto values = DecodeWav(*format, Bytes(wav).subspan(format->data_offset));
  EXPECT_TRUE(values);
  return *values;
}

TEST(Wav, DecodesEveryDepth) {
  EXPECT_THAT(Decode(Wav(1, 1, 8, "\x80\xff" + std::string(1, '\0'))),
              ElementsAre(0, 127.0f / 128, -1));
  EXPECT_THAT(Decode(Wav(1, 2, 16, Le<int16_t>(-32768) + Le<int16_t>(16384))),
              ElementsAre(-1, 0.5));
  EXPECT_THAT(Decode(Wav(1, 1, 24, std::string("\x00\x00\x80\x00\x00\x40", 6))),
              ElementsAre(-1, 0.5));
  EXPECT_THAT(Decode(Wav(1, 1, 32, Le<int32_t>(INT32_MIN) + Le<int32_t>(1 << 29))),
              ElementsAre(-1, 0.25));
  EXPECT_THAT(Decode(Wav(3, 1, 32, Le(1.5f))), ElementsAre(1.5));
  EXPECT_THAT(Decode(Wav(3, 1, 64, Le(-2.5))), ElementsAre(-2.5));
}

TEST(Wav, RefusesWithReason) {
  const auto error = [](const std::string& wav) {
    auto format = ParseWav(Bytes(wav), wav.size());
    return format ? "accepted" : format.error().message();
  };
  EXPECT_THAT(error("RIFX"), HasSubstr("RIFF....WAVE"));
  EXPECT_THAT(error(Wav(2, 1, 4, "ab")), HasSubstr("tag 2 with 4 bits is not supported"));
  EXPECT_THAT(error(Wav(1, 9, 16, "")), HasSubstr("9 channels"));
  EXPECT_THAT(error(Wav(1, 1, 16, "ab", 100)), HasSubstr("it was cut off"));
  EXPECT_THAT(error(Wav(1, 2, 16, "ab")), HasSubstr("ends within a frame"));
  EXPECT_THAT(error(Wav(1, 1, 16, "").substr(0, 36)), HasSubstr("no 'data' chunk"));
  const std::string nan = Wav(3, 1, 32, Le<uint32_t>(0x7fc00000));
  auto format = ParseWav(Bytes(nan), nan.size());
  ASSERT_TRUE(format);
  EXPECT_FALSE(DecodeWav(*format, Bytes(nan).subspan(format->data_offset)));
}

}  // namespace
}  // namespace edgeloop::sensors
