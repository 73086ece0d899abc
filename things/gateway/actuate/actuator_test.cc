#include "things/gateway/actuate/actuator.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace edgeloop::gateway {
namespace {

class ActuatorTest : public ::testing::Test {
 protected:
  ActuatorTest() {
    std::string pattern = ::testing::TempDir() + "actuator-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~ActuatorTest() override { std::filesystem::remove_all(dir_); }

  std::string Read(const std::string& name) const {
    std::ifstream file(dir_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string dir_;
};

TEST_F(ActuatorTest, FileHoldsStateAndTime) {
  auto actuator = CreateActuator({"file", dir_ + "/contactor"});
  ASSERT_TRUE(actuator.has_value());
  ASSERT_TRUE((*actuator)->SetOpen(true).has_value());
  EXPECT_TRUE(Read("contactor").starts_with("1 1"));
  ASSERT_TRUE((*actuator)->SetOpen(false).has_value());
  EXPECT_TRUE(Read("contactor").starts_with("0 1"));
}

TEST_F(ActuatorTest, FileInAMissingFolderFails) {
  auto actuator = CreateActuator({"file", dir_ + "/no/contactor"});
  ASSERT_TRUE(actuator.has_value());
  EXPECT_FALSE((*actuator)->SetOpen(true).has_value());
}

// As far as files allow: no GPIO hardware here.
TEST_F(ActuatorTest, GpioWritesDirectionThenValue) {
  std::ofstream(dir_ + "/direction") << "in";
  std::ofstream(dir_ + "/value") << "0";
  auto actuator = CreateActuator({"gpio", dir_});
  ASSERT_TRUE(actuator.has_value()) << actuator.error().ToString();
  EXPECT_EQ(Read("direction"), "high");
  ASSERT_TRUE((*actuator)->SetOpen(false).has_value());
  EXPECT_EQ(Read("value"), "1");
  ASSERT_TRUE((*actuator)->SetOpen(true).has_value());
  EXPECT_EQ(Read("value"), "0");
}

TEST_F(ActuatorTest, RefusesWhatItCannotDrive) {
  EXPECT_FALSE(CreateActuator({"gpio", dir_ + "/gpio17"}).has_value());
  EXPECT_FALSE(CreateActuator({"file", ""}).has_value());
  EXPECT_FALSE(CreateActuator({"relay", "x"}).has_value());
}

}  // namespace
}  // namespace edgeloop::gateway
