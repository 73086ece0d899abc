#include "contracts/sparkplug/topic.h"

#include <gtest/gtest.h>

namespace edgeloop::sparkplug {
namespace {

TEST(SparkplugTopicTest, RoundTripsEveryType) {
  for (int i = 0; i < 8; ++i) {
    const auto type = MessageType(i);
    const Topic topic{"edgeloop", type, "gw-01", IsDeviceMessage(type) ? "motor-01" : ""};
    auto parsed = ParseTopic(FormatTopic(topic));
    ASSERT_TRUE(parsed.has_value()) << parsed.error().ToString();
    EXPECT_EQ(*parsed, topic);
  }
  EXPECT_EQ(FormatTopic({"edgeloop", MessageType::kDeviceData, "gw-01", "motor-01"}),
            "spBv1.0/edgeloop/DDATA/gw-01/motor-01");
  EXPECT_EQ(FormatTopic({"edgeloop", MessageType::kNodeCommand, "gw-01", ""}),
            "spBv1.0/edgeloop/NCMD/gw-01");
  EXPECT_EQ(TopicFilter("edgeloop", MessageType::kDeviceBirth), "spBv1.0/edgeloop/DBIRTH/#");
}

TEST(SparkplugTopicTest, RefusesEverythingElse) {
  const std::string longest = "spBv1.0/g/DDATA/n/" + std::string(49, 'a');
  for (const char* text :
       {"", "/", "spBv1.0", "spBv1.0/g", "spBv1.0/g/NDATA", "spBv1.0/g/NDATA/", "spBv1.0/g/DDATA/n",
        "spBv1.0/g/DDATA/n/", "spBv1.0/g/DDATA/n/d/x", "spBv1.0/g/NDATA/n/d", "spAv1.0/g/NDATA/n",
        "spBv1.0//NDATA/n", "spBv1.0/g/ndata/n", "spBv1.0/g/NDATA/+", "spBv1.0/g/NDATA/#",
        "spBv1.0/g/NDATA/n ", "spBv1.0/G/NDATA/n", "spBv1.0/STATE/n", longest.c_str()}) {
    EXPECT_FALSE(ParseTopic(text).has_value()) << text;
  }
  EXPECT_FALSE(ParseTopic(std::string(100'000, '/')).has_value());
}

}  // namespace
}  // namespace edgeloop::sparkplug
