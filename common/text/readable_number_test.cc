#include "common/text/readable_number.h"

#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(ReadableNumberTest, ARateThatIsNotZeroDoesNotLookLikeIt) {
  EXPECT_EQ(ReadableRate(15304.4), "15304");
  EXPECT_EQ(ReadableRate(10), "10");
  EXPECT_EQ(ReadableRate(9.54), "9.5");
  EXPECT_EQ(ReadableRate(1), "1.0");
  EXPECT_EQ(ReadableRate(0.42), "0.42");
  EXPECT_EQ(ReadableRate(0.0031), "0.0031");
  EXPECT_EQ(ReadableRate(0), "0");
}

TEST(ReadableNumberTest, EpochsAreNeverMoreThanThereAre) {
  EXPECT_EQ(ReadableEpochs(3.25, 12), "3.25");
  EXPECT_EQ(ReadableEpochs(12, 12), "12.00");
  EXPECT_EQ(ReadableEpochs(1.999, 2), "1.99");
  EXPECT_EQ(ReadableEpochs(0.007, 0.007), "0.00700");
  EXPECT_EQ(ReadableEpochs(0.00466, 0.007), "0.00466");
  EXPECT_EQ(ReadableEpochs(2.0 / 300, 2.0 / 300), "0.00666");
  EXPECT_EQ(ReadableEpochs(0.5, 0.5), "0.500");
}

TEST(ReadableNumberTest, AMultipleIsItselfAlthoughItsDoubleIsBelowIt) {
  EXPECT_EQ(ReadableEpochs(0.29, 2), "0.29");
  EXPECT_EQ(ReadableEpochs(0.1 + 0.7, 2), "0.80");
}

TEST(ReadableNumberTest, WhereTheTotalIsNotKnownThereAreTwoDigits) {
  EXPECT_EQ(ReadableEpochs(0, 0), "0.00");
  EXPECT_EQ(ReadableEpochs(0.5, 0), "0.50");
}

}  // namespace
}  // namespace arcshard
