#include "common/protocol/verification_report.h"

#include "gtest/gtest.h"

namespace arcshard {
namespace {

const VerificationReport kReport = {
    "lfw", 0.93124, 0.01,   1.234, 6000,
    22.1,  0.9342,  1.2345, 3000,  {{1e-1, 0.99, 300}, {1e-3, 0.82134, 3}, {1e-4, 0.70101, 0}, {0.05, 0.9, 100}}};

TEST(VerificationReportTest, TheFoldsAreOneLine) {
  EXPECT_EQ(DescribeFolds(kReport), "accuracy 0.9312 ± 0.0100 (threshold 1.23, xnorm 22.10, 6000 pairs)");
}

TEST(VerificationReportTest, RatesThatRestOnFewPairsSaySo) {
  EXPECT_EQ(DescribeAllPairs(kReport),
            "all pairs: accuracy 0.9342 (threshold 1.234), TAR 0.9900 at FAR 1e-1, 0.8213 at FAR 1e-3 (3 of 3000), "
            "0.7010 at FAR 1e-4 (0 of 3000), 0.9000 at FAR 0.05");
}

TEST(VerificationReportTest, WithoutRatesThereIsTheAccuracyAlone) {
  EXPECT_EQ(DescribeAllPairs({.name = "lfw", .overall_accuracy = 1.0, .overall_threshold = 0.5}),
            "all pairs: accuracy 1.0000 (threshold 0.500)");
}

TEST(VerificationReportTest, TheMeanIsOverTheSets) {
  EXPECT_DOUBLE_EQ(MeanAccuracy({{.name = "a", .accuracy = 0.5}, {.name = "b", .accuracy = 0.75}}), 0.625);
  EXPECT_EQ(MeanAccuracy({}), 0.0);
}

}  // namespace
}  // namespace arcshard
