#include "worker/view/connect_limit.h"

#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

class ConnectLimitTest : public ::testing::Test {
 protected:
  ConnectLimitTest() {
    cluster_.connect_timeout = absl::Seconds(60);
    cluster_.heartbeat_timeout = absl::Seconds(8);
    view_.view = {.incarnation = 3, .counter = 1};
    view_.shards.resize(2);
    view_.workers.resize(2);
  }

  RunConfig::Cluster cluster_;
  ViewAnnouncement view_;
};

TEST_F(ConnectLimitTest, AtTheStartOfARunTheOthersMayTakeLongToBeFound) {
  EXPECT_EQ(ConnectLimit(view_, cluster_), absl::Seconds(60));
}

TEST_F(ConnectLimitTest, SoTheyMayIfTheFirstViewHasLostSomebody) {
  view_.view.counter = 2;
  view_.shards[0].holds = true;  // it had nobody to connect to
  EXPECT_EQ(ConnectLimit(view_, cluster_), absl::Seconds(60));
}

TEST_F(ConnectLimitTest, OnceSomebodyHoldsTheStateWhoDoesNotAnswerForAsLongAsADeadProcessIsNotWaitedFor) {
  view_.workers[1].holds = true;
  EXPECT_EQ(ConnectLimit(view_, cluster_), absl::Seconds(8));
}

TEST_F(ConnectLimitTest, AShorterConnectTimeoutHolds) {
  view_.workers[0].holds = true;
  cluster_.connect_timeout = absl::Seconds(5);
  EXPECT_EQ(ConnectLimit(view_, cluster_), absl::Seconds(5));
}

}  // namespace
}  // namespace arcshard::worker
