#include "worker/inference/verifier.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "worker/data/testing/test_folder.h"
#include "worker/inference/testing/test_sets.h"

namespace arcshard::worker {
namespace {

constexpr int kSide = 16;

class VerifierTest : public ::testing::Test {
 protected:
  VerifierTest() {
    config_.data.image_size = kSide;
    config_.data.micro_batch_size = 8;
    config_.cluster.worker_threads = 2;
    config_.verification.sets = {folder_.Write("a.bin", PickleOfPairs(10, kSide)),
                                 folder_.Write("b.bin", PickleOfPairs(15, kSide))};
    EXPECT_EQ(verifier_.Load(config_), absl::OkStatus());
  }

  ParticipantStats Stats() const {
    ParticipantStats stats;
    verifier_.AddTo(&stats);
    return stats;
  }
  // Notes the statistics whenever it is called, and abandons what is being done once `enough` images are done.
  Verifier::Heed NoteUntil(uint64_t enough) {
    return [this, enough] {
      noted_.push_back(Stats());
      return noted_.back().verified_images < enough ? absl::OkStatus() : absl::CancelledError("stop");
    };
  }
  // Expects that what was noted went up to 25 of 25 images.
  void ExpectProgressOf25() const {
    ASSERT_FALSE(noted_.empty());
    for (const ParticipantStats& stats : noted_) EXPECT_EQ(stats.images_to_verify, 25u);
    EXPECT_TRUE(std::is_sorted(noted_.begin(), noted_.end(),
                               [](const auto& a, const auto& b) { return a.verified_images < b.verified_images; }));
    EXPECT_EQ(noted_.back().verified_images, 25u);
    EXPECT_EQ(Stats().images_to_verify, 0u) << "nothing is being verified";
  }

  const TestFolder folder_;
  RunConfig config_;
  Verifier verifier_;
  std::vector<ParticipantStats> noted_;
};

TEST_F(VerifierTest, ACheckTellsHowFarItIs) {
  EXPECT_EQ(verifier_.Check({1, 2}, NoteUntil(1000)), absl::OkStatus());
  ExpectProgressOf25();
}

TEST_F(VerifierTest, AVerificationTellsHowFarItIs) {
  auto backbone = CreateBackbone({.name = "iresnet18", .width = 2, .image_size = kSide, .embedding_size = 4});
  ASSERT_TRUE(backbone.ok()) << backbone.status();
  AllReduce alone{AllReduceOptions()};
  const auto results = verifier_.Verify(backbone->get(), {1, 2}, &alone, NoteUntil(1000));
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(results->size(), 2u);
  ExpectProgressOf25();
}

TEST_F(VerifierTest, WhatIsAbandonedEndsWithTheReasonAndCountsNoMore) {
  EXPECT_EQ(verifier_.Check({}, NoteUntil(1)), absl::CancelledError("stop"));
  EXPECT_EQ(noted_.size(), 1u);
  EXPECT_EQ(Stats().verified_images, 0u);
  EXPECT_EQ(Stats().images_to_verify, 0u);
}

}  // namespace
}  // namespace arcshard::worker
