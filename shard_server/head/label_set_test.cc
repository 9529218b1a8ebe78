#include "shard_server/head/label_set.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::head {
namespace {

TEST(LabelSetTest, HoldsEachLabelOnceInAscendingOrder) {
  LabelSet labels;
  labels.Assign({500, 100, 99, 500, 899, 900, 0});
  EXPECT_THAT(labels.InRange({100, 900}), testing::ElementsAre(100, 500, 899));
  EXPECT_TRUE(labels.InRange({101, 500}).empty());
  EXPECT_TRUE(labels.Contains(99)) << "another shard's label counts too";
  EXPECT_FALSE(labels.Contains(501));
}

TEST(LabelSetTest, AssignReplacesTheSet) {
  LabelSet labels;
  EXPECT_FALSE(labels.Contains(3));
  labels.Assign({3});
  EXPECT_TRUE(labels.Contains(3));
  labels.Assign({});
  EXPECT_FALSE(labels.Contains(3));
  EXPECT_TRUE(labels.InRange({0, 10}).empty());
}

}  // namespace
}  // namespace arcshard::head
