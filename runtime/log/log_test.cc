#include "runtime/log/log.h"

#include <gtest/gtest.h>

#include <cmath>

namespace edgeloop::log {
namespace {

std::string Captured(Format format, Level level, const std::function<void()>& work) {
  Init("unit", level, format);
  testing::internal::CaptureStderr();
  work();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, WritesTextWithFields) {
  const std::string line = Captured(Format::kText, Level::kInfo, [] {
    Info("segment opened", {{"topic", "a"}, {"offset", 42}, {"why", "two words"}, {"ok", true}});
  });
  EXPECT_TRUE(
      line.ends_with(" info unit: segment opened topic=a offset=42 why=\"two words\" ok=true\n"))
      << line;
}

TEST(Log, WritesJson) {
  const std::string line = Captured(Format::kJson, Level::kInfo, [] {
    Warning("low", {{"bytes", 7u}, {"ok", false}, {"text", "true"}, {"ratio", std::nan("")}});
  });
  EXPECT_TRUE(
      line.ends_with("\"level\":\"warning\",\"service\":\"unit\",\"message\":\"low\","
                     "\"bytes\":7,\"ok\":false,\"text\":\"true\",\"ratio\":\"nan\"}\n"))
      << line;
}

TEST(Log, OutsideTextCannotForgeLines) {
  for (const Format format : {Format::kText, Format::kJson}) {
    const std::string line = Captured(format, Level::kInfo, [] {
      Info("peer", {{"name", "x\n2026 error fake\x01\xff\"\\"}});
    });
    EXPECT_EQ(line.find('\n'), line.size() - 1);
    EXPECT_NE(line.find("\"x\\n2026 error fake\\u0001\\ufffd\\\"\\\\\""), std::string::npos)
        << line;
  }
}

TEST(Log, KeepsUtf8AndCutsLongValues) {
  const std::string line = Captured(Format::kJson, Level::kInfo, [] {
    Info("é", {{"long", std::string(100'000, 'a')}});
  });
  EXPECT_NE(line.find("\"é\""), std::string::npos);
  EXPECT_LT(line.size(), 5'000u);
}

TEST(Log, IsSilentBelowItsLevel) {
  EXPECT_EQ(Captured(Format::kText, Level::kWarning, [] { Info("quiet"); }), "");
}

}  // namespace
}  // namespace edgeloop::log
