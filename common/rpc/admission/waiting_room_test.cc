#include "common/rpc/admission/waiting_room.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class WaitingRoomTest : public ::testing::Test {
 protected:
  WaitingRoom::Ticket Enter(const std::string& who) {
    return room_.Enter([this, who](const absl::Status& status) {
      EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
      ended_.push_back(who);
      last_ = std::string(status.message());
    });
  }

  WaitingRoom room_{"Register", 2};
  std::vector<std::string> ended_;
  std::string last_;
};

TEST_F(WaitingRoomTest, OneTooManyEndsWhoHasWaitedLongest) {
  Enter("a");
  Enter("b");
  EXPECT_THAT(ended_, IsEmpty());
  Enter("c");
  Enter("d");
  EXPECT_THAT(ended_, ElementsAre("a", "b"));
  EXPECT_EQ(last_, "more than 2 streams wait for their Register; this one has waited longest");
}

TEST_F(WaitingRoomTest, WhoHasLeftIsNotEnded) {
  const WaitingRoom::Ticket a = Enter("a");
  Enter("b");
  room_.Leave(a);
  room_.Leave(a);
  Enter("c");
  EXPECT_THAT(ended_, IsEmpty());
  Enter("d");
  EXPECT_THAT(ended_, ElementsAre("b"));
}

TEST_F(WaitingRoomTest, MayGrow) {
  room_.SetMost(3);
  for (const char* const who : {"a", "b", "c"}) Enter(who);
  EXPECT_THAT(ended_, IsEmpty());
}

}  // namespace
}  // namespace arcshard
