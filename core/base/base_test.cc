#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "core/base/bytes.h"
#include "core/base/crc32c.h"
#include "core/base/math.h"
#include "core/base/result.h"

namespace edgeloop::core {
namespace {

double Ulp(double value) {
  const float f = static_cast<float>(std::fabs(value));
  return std::nextafter(f, std::numeric_limits<float>::infinity()) - f;
}

TEST(Crc32cTest, MatchesPublishedVectors) {
  const std::string_view digits = "123456789";  // check value of the CRC catalogue
  const auto* p = reinterpret_cast<const std::uint8_t*>(digits.data());
  EXPECT_EQ(Crc32c({p, 9}), 0xE3069283U);
  // RFC 3720 appendix B.4.
  EXPECT_EQ(Crc32c(std::vector<std::uint8_t>(32, 0x00)), 0x8A9136AAU);
  EXPECT_EQ(Crc32c(std::vector<std::uint8_t>(32, 0xFF)), 0x62A8AB43U);
  EXPECT_EQ(Crc32c({}), 0U);
}

TEST(Crc32cTest, ContinuesAtAnySplit) {
  std::vector<std::uint8_t> bytes(67);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 37);
  const std::span<const std::uint8_t> all(bytes);
  for (std::size_t split = 0; split <= all.size(); ++split) {
    EXPECT_EQ(Crc32c(all.subspan(split), Crc32c(all.first(split))), Crc32c(all)) << split;
  }
}

TEST(MathTest, LogIsWithinTwoUlpOverTheWholeRange) {
  // Every 997th normal float.
  double worst = 0;
  for (std::uint32_t bits = 0x00800000U; bits < 0x7F800000U; bits += 997) {
    const float x = std::bit_cast<float>(bits);
    const double exact = std::log(static_cast<double>(x));
    worst = std::fmax(worst, std::fabs(Log(x) - exact) / Ulp(exact));
  }
  EXPECT_LE(worst, 2.0);
  EXPECT_EQ(Log(1.0F), 0.0F);
}

TEST(MathTest, ExpIsWithinTwoUlpAndClamped) {
  double worst = 0;
  for (double x = -87; x <= 88; x += 0.00037) {
    const float xf = static_cast<float>(x);
    const double exact = std::exp(static_cast<double>(xf));
    worst = std::fmax(worst, std::fabs(Exp(xf) - exact) / Ulp(exact));
  }
  EXPECT_LE(worst, 2.0);
  EXPECT_EQ(Exp(0.0F), 1.0F);
  EXPECT_EQ(Exp(1e30F), Exp(88.0F));
  EXPECT_EQ(Exp(-1e30F), Exp(-87.0F));
}

TEST(MathTest, SigmoidIsSymmetricAndBounded) {
  for (float x = -100; x <= 100; x += 0.37F) {
    const double exact = 1 / (1 + std::exp(-static_cast<double>(x)));
    EXPECT_NEAR(Sigmoid(x), exact, 2e-7) << x;
    EXPECT_GE(Sigmoid(x), 0.0F);
    EXPECT_LE(Sigmoid(x), 1.0F);
  }
  EXPECT_EQ(Sigmoid(0.0F), 0.5F);
}

TEST(MathTest, SqrtOfNothingIsZero) {
  EXPECT_EQ(Sqrt(2.25F), 1.5F);
  EXPECT_EQ(Sqrt(0.0F), 0.0F);
  EXPECT_EQ(Sqrt(-1.0F), 0.0F);
}

TEST(BytesTest, LoadsLittleEndianUnaligned) {
  const std::uint8_t bytes[] = {0xEE, 0x00, 0x00, 0x80, 0x3F, 0xFF, 0xFF};
  EXPECT_EQ(LoadF32(bytes + 1), 1.0F);
  EXPECT_EQ(LoadU16(bytes + 3), 0x3F80);
  EXPECT_EQ(LoadU32(bytes + 3), 0xFFFF3F80U);
  EXPECT_EQ(LoadI32(bytes + 3), -49280);
}

TEST(BytesTest, IsFinite) {
  EXPECT_TRUE(IsFinite(0.0F));
  EXPECT_TRUE(IsFinite(-std::numeric_limits<float>::max()));
  EXPECT_TRUE(IsFinite(std::numeric_limits<float>::denorm_min()));
  EXPECT_FALSE(IsFinite(std::numeric_limits<float>::infinity()));
  EXPECT_FALSE(IsFinite(-std::numeric_limits<float>::infinity()));
  EXPECT_FALSE(IsFinite(std::numeric_limits<float>::quiet_NaN()));
}

TEST(CodeTest, EveryCodeHasText) {
  for (int code = 0; code <= static_cast<int>(Code::kNotFinite); ++code) {
    EXPECT_NE(std::string_view(CodeText(static_cast<Code>(code))), "unknown code") << code;
  }
}

}  // namespace
}  // namespace edgeloop::core
