#include "worker/verification/verification.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "common/io/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"

namespace arcshard::worker {
namespace {

using testing::HasSubstr;

absl::StatusOr<VerificationResult> VerifyPlain(const std::vector<float>& embeddings, int64_t dim,
                                               const std::vector<bool>& same, int folds) {
  return Verify(embeddings, embeddings, dim, same, folds);
}

// Pairs in the plane whose squared distances are 2 - 2·cos(angle).
std::vector<float> PairsAtAngles(const std::vector<double>& angles) {
  std::vector<float> embeddings;
  for (const double angle : angles) {
    embeddings.insert(embeddings.end(),
                      {1.0f, 0.0f, static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))});
  }
  return embeddings;
}

class RecordedVerification : public testing::TestWithParam<int> {};

TEST_P(RecordedVerification, EqualsInsightFacesProtocolInNumpy) {
  const auto file = SafetensorsFile::Open(ARCSHARD_SOURCE_DIR "/tests/data/verification_case.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto originals = file->Read<float>("originals");
  const auto flips = file->Read<float>("flips");
  const auto same = file->Read<uint8_t>("same");
  const auto expected = file->Read<double>("accuracy_std_threshold_xnorm_" + std::to_string(GetParam()) + "_folds");
  ASSERT_TRUE(originals.ok() && flips.ok() && same.ok() && expected.ok());

  const auto result = Verify(*originals, *flips, 8, {same->begin(), same->end()}, GetParam());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->accuracy, (*expected)[0], 1e-12);
  EXPECT_NEAR(result->accuracy_std, (*expected)[1], 1e-12);
  EXPECT_NEAR(result->best_threshold, (*expected)[2], 1e-12);
  EXPECT_NEAR(result->xnorm, (*expected)[3], 1e-9);
}

TEST(VerifyAllPairs, OneThresholdOverAllPairsEqualsTheOneFoundByTryingThemAll) {
  const auto file = SafetensorsFile::Open(ARCSHARD_SOURCE_DIR "/tests/data/verification_case.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto originals = file->Read<float>("originals");
  const auto flips = file->Read<float>("flips");
  const auto same = file->Read<uint8_t>("same");
  const auto accuracy = file->Read<double>("overall_accuracy_threshold");
  const auto rates = file->Read<double>("far_tar_false_accepts");
  ASSERT_TRUE(originals.ok() && flips.ok() && same.ok() && accuracy.ok() && rates.ok());

  const auto result = Verify(*originals, *flips, 8, {same->begin(), same->end()});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_NEAR(result->overall_accuracy, (*accuracy)[0], 1e-12);
  EXPECT_NEAR(result->overall_threshold, (*accuracy)[1], 1e-12);
  EXPECT_EQ(result->different_pairs, static_cast<uint64_t>(std::count(same->begin(), same->end(), 0)));
  ASSERT_EQ(rates->size(), 3 * result->accept_rates.size());
  for (size_t i = 0; i < result->accept_rates.size(); ++i) {
    EXPECT_EQ(result->accept_rates[i].far, (*rates)[3 * i]);
    EXPECT_NEAR(result->accept_rates[i].tar, (*rates)[3 * i + 1], 1e-12);
    EXPECT_EQ(static_cast<double>(result->accept_rates[i].false_accepts), (*rates)[3 * i + 2]);
  }
}

INSTANTIATE_TEST_SUITE_P(Folds, RecordedVerification, testing::Values(10, 3), testing::PrintToStringParamName());

TEST(Verify, PicksEachFoldsThresholdFromTheOtherFolds) {
  // Fold 0 is separated at a squared distance of 1, fold 1 at 3: each is judged by the other's threshold.
  const std::vector<float> embeddings =
      PairsAtAngles({std::acos(1 - 0.985 / 2), std::acos(1 - 1.015 / 2),    // 0.985, 1.015
                     std::acos(1 - 2.985 / 2), std::acos(1 - 3.015 / 2)});  // 2.985, 3.015
  const auto result = VerifyPlain(embeddings, 2, {1, 0, 1, 0}, 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_DOUBLE_EQ(result->accuracy, 0.5);
  EXPECT_DOUBLE_EQ(result->accuracy_std, 0.0);
  // The smallest thresholds that are perfect: 0.99 and 2.99.
  EXPECT_NEAR(result->best_threshold, (0.99 + 2.99) / 2, 1e-12);
  EXPECT_NEAR(result->xnorm, 1.0, 1e-6);
}

TEST(Verify, ADistanceEqualToTheThresholdIsDifferent) {
  // Identical embeddings: distance 0 is not below threshold 0, so 0.01 is the first that is right about them.
  const auto result = VerifyPlain(PairsAtAngles({0, 0, 0, 0}), 2, {1, 1, 1, 1}, 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_DOUBLE_EQ(result->accuracy, 1.0);
  EXPECT_DOUBLE_EQ(result->best_threshold, 0.01);
}

TEST(Verify, FlipsAreAddedBeforeNormalisation) {
  // Each original points away from its partner, the longer flip towards it.
  const std::vector<float> originals = {1, 0, 0, 1, 1, 0, 0, 1};
  const std::vector<float> flips = {0, 9, 0, 0, 0, 9, 0, 0};
  const auto apart = VerifyPlain(originals, 2, {1, 1}, 2);
  const auto together = Verify(originals, flips, 2, std::vector<bool>{1, 1}, 2);
  ASSERT_TRUE(apart.ok() && together.ok());
  EXPECT_DOUBLE_EQ(apart->best_threshold, 2.01);
  EXPECT_DOUBLE_EQ(together->best_threshold, 0.02);  // 2 - 2·9/sqrt(82) = 0.0123
  EXPECT_DOUBLE_EQ(together->xnorm, (4 * 1 + 2 * 9) / 8.0);
}

TEST(Verify, EmbeddingsThatAreNoNumbersCountAsDifferent) {
  std::vector<float> embeddings = PairsAtAngles({0, 0});
  embeddings[0] = embeddings[4] = std::numeric_limits<float>::quiet_NaN();
  const auto result = VerifyPlain(embeddings, 2, {0, 0}, 2);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_DOUBLE_EQ(result->accuracy, 1.0);
}

TEST(Verify, SizesThatDisagreeAreRefusedWithTheFigures) {
  const auto result = VerifyPlain(std::vector<float>(7 * 2), 2, std::vector<bool>(4), 2);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("4 pairs"));
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("there are 14 of images"));
  const auto flips = Verify(std::vector<float>(16), std::vector<float>(14), 2, std::vector<bool>(4), 2);
  EXPECT_EQ(flips.status().code(), absl::StatusCode::kInvalidArgument);
  const auto dim = Verify({}, {}, 0, {}, 2);
  EXPECT_EQ(dim.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Verify, FewerPairsThanFoldsAreRefused) {
  const auto result = VerifyPlain(PairsAtAngles({0, 1, 2}), 2, {1, 0, 1}, 10);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("10 folds"));
  EXPECT_EQ(VerifyPlain(PairsAtAngles({0, 1, 2}), 2, {1, 0, 1}, 1).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace arcshard::worker
