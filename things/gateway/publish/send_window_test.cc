#include "things/gateway/publish/send_window.h"

#include <gtest/gtest.h>

namespace edgeloop::gateway {
namespace {

using std::chrono::milliseconds;

const SendWindow::Time kStart{milliseconds(1'000'000)};

TEST(SendWindowTest, FillsAtTheLimitAndEmptiesWithCumulativeAcknowledgements) {
  SendWindow window;
  for (uint64_t seq = 1; seq <= SendWindow::kMaxRecords; ++seq) {
    EXPECT_FALSE(window.full());
    window.Sent(seq, 100, kStart);
  }
  EXPECT_TRUE(window.full());
  window.Acknowledged(500, kStart);
  EXPECT_FALSE(window.full());
  EXPECT_EQ(window.free_records(), 500u);
  window.Acknowledged(512, kStart);
  EXPECT_TRUE(window.empty());
}

TEST(SendWindowTest, IsBoundedInBytesToo) {
  SendWindow window;
  window.Sent(1, SendWindow::kMaxBytes + 1, kStart);
  EXPECT_TRUE(window.full());
  window.Acknowledged(1, kStart);
  EXPECT_FALSE(window.full());
}

TEST(SendWindowTest, ResendsWhenAcknowledgementsStopAndBacksOff) {
  SendWindow window;
  EXPECT_EQ(window.resend_at(), SendWindow::Time::max());
  window.Sent(1, 1, kStart);
  window.Sent(2, 1, kStart + milliseconds(1'500));
  EXPECT_EQ(window.resend_at(), kStart + SendWindow::kResendAfter);
  // Progress starts the time anew.
  window.Acknowledged(1, kStart + milliseconds(1'900));
  EXPECT_EQ(window.resend_at(), kStart + milliseconds(3'900));
  window.Rewind(1);
  window.BackOff();
  EXPECT_EQ(window.sent_seq(), 1u);
  EXPECT_TRUE(window.WasSentBefore(2));
  EXPECT_FALSE(window.WasSentBefore(3));
  window.Sent(2, 1, kStart + milliseconds(4'000));
  EXPECT_EQ(window.resend_at(), kStart + milliseconds(8'000));
  window.Acknowledged(2, kStart + milliseconds(4'100));
  window.Sent(3, 1, kStart + milliseconds(5'000));
  EXPECT_EQ(window.resend_at(), kStart + milliseconds(7'000));
}

TEST(SendWindowTest, AnAcknowledgementBeyondWhatWasSentMovesOn) {
  SendWindow window;
  window.Acknowledged(7, kStart);
  EXPECT_EQ(window.sent_seq(), 7u);
}

}  // namespace
}  // namespace edgeloop::gateway
