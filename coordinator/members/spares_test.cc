#include "coordinator/members/spares.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SparesTest : public ::testing::Test {
 protected:
  static Registration OnHost(const std::string& host) {
    return {.role = Role::kShard, .address = "h:1", .host = host, .spare = true};
  }
  const MonotonicTime now_ = MonotonicTime() + absl::Seconds(1000);
  Spares spares_;
};

TEST_F(SparesTest, WhoHasWaitedLongestIsFirst) {
  ASSERT_TRUE(spares_.Add(7, OnHost("a"), now_).ok());
  ASSERT_TRUE(spares_.Add(9, OnHost("b"), now_ + absl::Seconds(5)).ok());
  EXPECT_FALSE(spares_.First(now_ - absl::Seconds(1)).has_value()) << "nobody has waited for so long";
  EXPECT_EQ(spares_.First(now_ + absl::Seconds(5))->first, 7u);
  EXPECT_EQ(spares_.First(now_)->second.host, "a");
  spares_.Remove(7);
  EXPECT_FALSE(spares_.First(now_).has_value());
  EXPECT_EQ(spares_.First(now_ + absl::Seconds(5))->first, 9u);
}

TEST_F(SparesTest, OnlySoManyMayWait) {
  for (Connection connection = 1; connection <= Spares::kMost; ++connection) {
    ASSERT_TRUE(spares_.Add(connection, OnHost("a"), now_).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(spares_.Add(1000, OnHost("a"), now_)));
  spares_.Remove(1);
  EXPECT_TRUE(spares_.Add(1000, OnHost("a"), now_).ok());
}

TEST_F(SparesTest, SilenceIsTimeSinceTheLastMessage) {
  ASSERT_TRUE(spares_.Add(1, OnHost("a"), now_).ok());
  ASSERT_TRUE(spares_.Add(2, OnHost("b"), now_).ok());
  spares_.Heard(2, now_ + absl::Seconds(5));
  EXPECT_THAT(spares_.SilentFor(absl::Seconds(8), now_ + absl::Seconds(9)), ElementsAre(1));
  spares_.ForgiveSilence(absl::Seconds(9));
  EXPECT_THAT(spares_.SilentFor(absl::Seconds(8), now_ + absl::Seconds(9)), IsEmpty());
}

}  // namespace
}  // namespace arcshard::coordinator
