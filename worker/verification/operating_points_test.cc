#include "worker/verification/operating_points.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

using ::testing::IsEmpty;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(BestThreshold, LiesHalfWayBetweenWhatItParts) {
  const OperatingPoint best = BestThreshold({0.5, 1.0, 1.5, 3.0}, {true, true, false, false});
  EXPECT_DOUBLE_EQ(best.threshold, 1.25);
  EXPECT_DOUBLE_EQ(best.accuracy, 1.0);
}

TEST(BestThreshold, IsTheSmallestOfEquals) {
  // The thresholds 0.75 and 2.5 are right about three of four pairs.
  const OperatingPoint best = BestThreshold({0.5, 1.0, 2.0, 3.0}, {true, false, true, false});
  EXPECT_DOUBLE_EQ(best.threshold, 0.75);
  EXPECT_DOUBLE_EQ(best.accuracy, 0.75);
}

TEST(BestThreshold, MayAcceptNothingOrEverything) {
  const OperatingPoint nothing = BestThreshold({0.5, 1.0}, {false, false});
  EXPECT_DOUBLE_EQ(nothing.threshold, 0.5);
  EXPECT_DOUBLE_EQ(nothing.accuracy, 1.0);
  const OperatingPoint everything = BestThreshold({0.5, 1.0}, {true, true});
  EXPECT_DOUBLE_EQ(everything.threshold, 4.0);
  EXPECT_DOUBLE_EQ(everything.accuracy, 1.0);
}

TEST(BestThreshold, DoesNotPartEqualDistances) {
  const OperatingPoint best = BestThreshold({1.0, 1.0, 1.0}, {true, false, false});
  EXPECT_DOUBLE_EQ(best.accuracy, 2.0 / 3);
  EXPECT_DOUBLE_EQ(best.threshold, 1.0);
}

TEST(BestThreshold, PartsDistancesThatAreNeighboursAmongDoubles) {
  const double next = std::nextafter(1.0, 2.0);
  const OperatingPoint best = BestThreshold({1.0, next}, {true, false});
  EXPECT_DOUBLE_EQ(best.accuracy, 1.0);
  EXPECT_EQ(best.threshold, next);
}

TEST(BestThreshold, DistancesThatAreNoNumbersAreDifferent) {
  EXPECT_DOUBLE_EQ(BestThreshold({kNan, 1.0}, {false, true}).accuracy, 1.0);
  EXPECT_DOUBLE_EQ(BestThreshold({kNan, kNan}, {true, true}).accuracy, 0.0);
  EXPECT_DOUBLE_EQ(BestThreshold({}, {}).accuracy, 0.0);
}

// 1000 pairs of two classes at distances 1.000, 1.001, ..., and 4 pairs of one class.
class AcceptRatesTest : public ::testing::Test {
 protected:
  AcceptRatesTest() {
    for (int i = 0; i < 1000; ++i) Add(1 + 0.001 * i, false);
    for (const double distance : {0.5, 0.9995, 1.0005, 1.0095}) Add(distance, true);
  }
  void Add(double distance, bool same) {
    distances_.push_back(distance);
    same_.push_back(same);
  }
  AcceptRate At(double far) { return AcceptRates(distances_, same_, {far}).at(0); }

  std::vector<double> distances_;
  std::vector<bool> same_;
};

TEST_F(AcceptRatesTest, AsManyFalseAcceptsAreAllowedAsTheRateSays) {
  EXPECT_EQ(At(1e-3), (AcceptRate{1e-3, 0.75, 1}));
  EXPECT_EQ(At(1e-2), (AcceptRate{1e-2, 1.0, 10}));
}

TEST_F(AcceptRatesTest, ARateTooSmallForThePairsAllowsNone) { EXPECT_EQ(At(1e-4), (AcceptRate{1e-4, 0.5, 0})); }

TEST_F(AcceptRatesTest, EqualDistancesAreAcceptedTogetherOrNotAtAll) {
  Add(1.0, false);  // one of 1001 is allowed, but these are two
  EXPECT_EQ(At(1e-3), (AcceptRate{1e-3, 0.5, 0}));
}

TEST_F(AcceptRatesTest, DistancesThatAreNoNumbersAreAcceptedByNone) {
  Add(kNan, true);
  EXPECT_DOUBLE_EQ(At(1e-2).tar, 0.8);
  EXPECT_DOUBLE_EQ(AcceptRates({kNan, kNan}, {true, false}, {0.5})[0].tar, 0.0);
}

TEST(AcceptRates, WithoutPairsOfBothKindsThereAreNone) {
  EXPECT_THAT(AcceptRates({1.0, 2.0}, {true, true}, {1e-3}), IsEmpty());
  EXPECT_THAT(AcceptRates({1.0, 2.0}, {false, false}, {1e-3}), IsEmpty());
}

}  // namespace
}  // namespace arcshard::worker
