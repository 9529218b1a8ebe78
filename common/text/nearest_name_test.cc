#include "common/text/nearest_name.h"

#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(NearestNameTest, DistancesCountEdits) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
  EXPECT_EQ(EditDistance("epcohs", "epochs"), 1u) << "swapped neighbours are one slip";
  EXPECT_EQ(EditDistance("batch_size", "batchsize"), 1u);
}

TEST(NearestNameTest, TheWholeNameOrItsLastPartDecides) {
  const std::vector<std::string> names = {"data", "data.scale", "head.scale", "schedule.lr"};
  EXPECT_EQ(NearestNames("head.scael", names), "head.scale");
  EXPECT_EQ(NearestNames("optimizer.lr", names), "schedule.lr");
  EXPECT_EQ(NearestNames("loss.scale", names), "data.scale or head.scale");
  EXPECT_EQ(NearestNames("date", names), "data");
}

TEST(NearestNameTest, AHugeNameCostsLittle) {
  EXPECT_FALSE(NearestNames(std::string(10000000, 'x'), {"data"}).empty());
}

}  // namespace
}  // namespace arcshard
