#include "client/rejoin.h"

#include "gtest/gtest.h"

namespace arcshard::client {
namespace {

class RejoinTest : public ::testing::Test {
 protected:
  void Advance(absl::Duration by) { now_ += by; }
  absl::Duration UntilNextTry() const { return rejoin_.next_try() - now_; }
  absl::Duration UntilItGivesUp() const { return rejoin_.gives_up_at() - now_; }

  MonotonicTime now_ = MonotonicTime() + absl::Hours(1);
  Rejoin rejoin_{absl::Minutes(10)};
};

TEST(MeansLostTest, TheTransportsStatusesMeanALossAndTheCoordinatorsVerdictsDoNot) {
  using absl::StatusCode;
  for (const StatusCode lost : {StatusCode::kUnavailable, StatusCode::kCancelled, StatusCode::kDeadlineExceeded,
                                StatusCode::kInternal, StatusCode::kUnknown}) {
    EXPECT_TRUE(MeansLost(absl::Status(lost, ""))) << lost;
  }
  for (const StatusCode end :
       {StatusCode::kOk, StatusCode::kAborted, StatusCode::kInvalidArgument, StatusCode::kFailedPrecondition,
        StatusCode::kPermissionDenied, StatusCode::kUnauthenticated, StatusCode::kResourceExhausted}) {
    EXPECT_FALSE(MeansLost(absl::Status(end, ""))) << end;
  }
}

TEST_F(RejoinTest, WhoWasTakenInForLongTriesAtOnce) {
  rejoin_.OnTry(now_);
  rejoin_.OnWelcomed();
  Advance(absl::Hours(3));
  rejoin_.OnLost(now_);
  EXPECT_LE(rejoin_.next_try(), now_);
}

TEST_F(RejoinTest, PausesGrowUntilAWelcomeAndToASecondAtMost) {
  for (const int millis : {100, 200, 400, 800, 1000, 1000}) {
    rejoin_.OnTry(now_);
    rejoin_.OnLost(now_);
    EXPECT_EQ(UntilNextTry(), absl::Milliseconds(millis));
    Advance(UntilNextTry());
  }
  rejoin_.OnTry(now_);
  rejoin_.OnWelcomed();
  Advance(absl::Hours(1));
  rejoin_.OnTry(now_);
  EXPECT_EQ(UntilNextTry(), absl::Milliseconds(100));
}

TEST_F(RejoinTest, WhoIsTakenInAndLostAtOnceDoesNotTryInATightLoop) {
  for (int i = 0; i < 5; ++i) {
    rejoin_.OnTry(now_);
    rejoin_.OnWelcomed();
    rejoin_.OnLost(now_);
    EXPECT_EQ(UntilNextTry(), Rejoin::kFirstPause);
    Advance(UntilNextTry());
  }
}

TEST_F(RejoinTest, TheTimeCountsFromTheFirstLossWhateverIsTriedMeanwhile) {
  EXPECT_EQ(rejoin_.gives_up_at(), MonotonicTime::InfiniteFuture());
  rejoin_.OnLost(now_);
  EXPECT_EQ(UntilItGivesUp(), absl::Minutes(10));
  Advance(absl::Minutes(4));
  rejoin_.OnTry(now_);
  rejoin_.OnLost(now_);
  EXPECT_EQ(UntilItGivesUp(), absl::Minutes(6));
  EXPECT_EQ(rejoin_.lost_since(), now_ - absl::Minutes(4));
}

TEST_F(RejoinTest, AWelcomeEndsTheCountAndTheNextLossBeginsItAnew) {
  rejoin_.OnLost(now_);
  Advance(absl::Minutes(9));
  rejoin_.OnWelcomed();
  EXPECT_EQ(rejoin_.gives_up_at(), MonotonicTime::InfiniteFuture());
  rejoin_.OnLost(now_);
  EXPECT_EQ(UntilItGivesUp(), absl::Minutes(10));
}

TEST_F(RejoinTest, ATimeoutThatIsSetAfterTheLossCountsFromTheLoss) {
  rejoin_.OnLost(now_);
  Advance(absl::Minutes(1));
  rejoin_.SetTimeout(absl::Minutes(3));
  EXPECT_EQ(UntilItGivesUp(), absl::Minutes(2));
}

TEST_F(RejoinTest, WhoIsToldToEndWaitsOnlyAMomentForALostCoordinator) {
  rejoin_.OnLost(now_);
  Advance(absl::Minutes(1));
  rejoin_.OnToldToEnd(now_);
  EXPECT_EQ(UntilItGivesUp(), Rejoin::kPatienceAtTheEnd);
  Advance(absl::Seconds(1));
  rejoin_.OnToldToEnd(now_);  // the second signal buys no time
  EXPECT_EQ(UntilItGivesUp(), Rejoin::kPatienceAtTheEnd - absl::Seconds(1));
}

TEST_F(RejoinTest, WhoWasToldToEndBeforeTheLossWaitsAMomentFromTheLossOn) {
  rejoin_.OnToldToEnd(now_);
  EXPECT_EQ(rejoin_.gives_up_at(), MonotonicTime::InfiniteFuture());
  Advance(absl::Minutes(5));
  rejoin_.OnLost(now_);
  EXPECT_EQ(UntilItGivesUp(), Rejoin::kPatienceAtTheEnd);
  rejoin_.SetTimeout(absl::Seconds(2));
  EXPECT_EQ(UntilItGivesUp(), absl::Seconds(2));
}

}  // namespace
}  // namespace arcshard::client
