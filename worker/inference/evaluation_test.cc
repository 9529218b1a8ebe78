#include "worker/inference/evaluation.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/inference/testing/test_sets.h"
#include "worker/training/all_reduce/testing/connected_workers.h"

namespace arcshard::worker {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int kSide = 16;
constexpr int kThreads = 2;

std::unique_ptr<VerificationSet> SetOf(const std::string& name, int pairs, int damaged = -1) {
  auto set = VerificationSet::Parse(name, PickleOfPairs(pairs, kSide, damaged));
  EXPECT_TRUE(set.ok()) << set.status();
  return *std::move(set);
}

class EvaluationTest : public ::testing::Test {
 protected:
  EvaluationTest() {
    auto backbone = CreateBackbone({.name = "iresnet18", .width = 2, .image_size = kSide, .embedding_size = 4});
    EXPECT_TRUE(backbone.ok()) << backbone.status();
    backbone_ = *std::move(backbone);
    options_.batch_size = 8;
    options_.threads = kThreads;
  }

  // Abandons the check once `enough` images are decoded. `told` gets what the check tells meanwhile.
  absl::Status Check(const VerificationShare& share = {}, int64_t enough = 1000, std::vector<int64_t>* told = nullptr) {
    return CheckSets(sets_, kSide, kThreads, share, [enough, told](int64_t images) {
      if (told != nullptr) told->push_back(images);
      return images < enough ? absl::OkStatus() : absl::CancelledError("stop");
    });
  }

  std::vector<std::unique_ptr<VerificationSet>> sets_;
  std::unique_ptr<Backbone> backbone_;
  AllReduce alone_{AllReduceOptions()};
  EmbedOptions options_;
};

TEST_F(EvaluationTest, SetsThatCanBeVerifiedPassTheCheckAndTheSharesOfTheWorkersAreAllOfTheirImages) {
  sets_.push_back(SetOf("a.bin", 10));
  sets_.push_back(SetOf("b.bin", 15));
  EXPECT_EQ(Check(), absl::OkStatus());
  EXPECT_EQ(CheckSets(sets_, kSide, kThreads, {}), absl::OkStatus()) << "nobody wants to know how far it is";
  EXPECT_EQ(ImagesOfShare(sets_, {}), 50);
  int64_t images = 0;
  for (size_t position = 0; position < 3; ++position) {
    EXPECT_EQ(Check({position, 3}), absl::OkStatus());
    images += ImagesOfShare(sets_, {position, 3});
  }
  EXPECT_EQ(images, 50);
}

TEST_F(EvaluationTest, TheCheckTellsHowManyImagesOfAllSetsAreDecoded) {
  sets_.push_back(SetOf("a.bin", 10));
  sets_.push_back(SetOf("b.bin", 15));
  std::vector<int64_t> told;
  EXPECT_EQ(Check({0, 2}, 1000, &told), absl::OkStatus());
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), 25);
}

TEST_F(EvaluationTest, TheCheckIsAbandonedWhenItIsTold) {
  sets_.push_back(SetOf("a.bin", 10));
  sets_.push_back(SetOf("damaged.bin", 10, /*damaged=*/0));
  std::vector<int64_t> told;
  EXPECT_EQ(Check({}, 1, &told), absl::CancelledError("stop")) << "the other set is not looked at";
  EXPECT_EQ(told.size(), 1u);
}

TEST_F(EvaluationTest, ASetWithFewerPairsThanFoldsIsFoundBeforeItsFirstUse) {
  sets_.push_back(SetOf("a.bin", 10));
  sets_.push_back(SetOf("few.bin", 9));
  const absl::Status status = Check();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(),
            "few.bin: has 9 pairs, but verification has 10 folds; repair the set, or leave it out of "
            "verification.sets");
}

TEST_F(EvaluationTest, ADamagedPictureIsFoundByTheWorkerWhoseShareItIs) {
  sets_.push_back(SetOf("a.bin", 10, /*damaged=*/13));
  const absl::Status status = Check();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("a.bin: image 13: "), EndsWith("leave it out of verification.sets")));
  EXPECT_TRUE(Check({0, 2}).ok());
  EXPECT_FALSE(Check({1, 2}).ok());
}

TEST_F(EvaluationTest, ASetThatFailsLeavesTheOthersTheirResults) {
  sets_.push_back(SetOf("a.bin", 10));
  sets_.push_back(SetOf("damaged.bin", 10, /*damaged=*/3));
  sets_.push_back(SetOf("b.bin", 12));
  const auto results = VerifyTogether(backbone_.get(), sets_, options_, {}, &alone_);
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_THAT(*results, SizeIs(3));
  EXPECT_TRUE((*results)[0].ok()) << (*results)[0].status();
  EXPECT_THAT(std::string((*results)[1].status().message()), HasSubstr("damaged.bin: image 3: "));
  ASSERT_TRUE((*results)[2].ok()) << (*results)[2].status();
  EXPECT_EQ((*results)[2]->accuracy, VerifySet(backbone_.get(), *sets_[2], options_)->accuracy);
}

TEST_F(EvaluationTest, AWorkerThatCannotEmbedItsShareLeavesNobodyWaiting) {
  sets_.push_back(SetOf("damaged.bin", 10, /*damaged=*/13));
  sets_.push_back(SetOf("b.bin", 10));
  std::vector<std::string> errors(2);
  std::vector<double> accuracies(2);
  ForConnectedWorkers(2, [&](int rank, AllReduce* all_reduce) {
    const size_t position = static_cast<size_t>(rank);
    const auto results = VerifyTogether(backbone_.get(), sets_, options_, {position, 2}, all_reduce);
    ASSERT_TRUE(results.ok()) << results.status();
    errors[position] = std::string((*results)[0].status().message());
    ASSERT_TRUE((*results)[1].ok()) << (*results)[1].status();
    accuracies[position] = (*results)[1]->accuracy;
  });
  EXPECT_EQ(errors[0], "damaged.bin: another worker could not embed its share; its log says why");
  EXPECT_THAT(errors[1], HasSubstr("damaged.bin: image 13: "));
  EXPECT_EQ(accuracies[0], accuracies[1]);
}

TEST_F(EvaluationTest, ItsProgressCountsTheImagesOfAllSets) {
  sets_.push_back(SetOf("a.bin", 10));
  sets_.push_back(SetOf("b.bin", 15));
  std::vector<int64_t> told;
  options_.after_batch = [&told](int64_t images) {
    told.push_back(images);
    return absl::OkStatus();
  };
  ASSERT_TRUE(VerifyTogether(backbone_.get(), sets_, options_, {}, &alone_).ok());
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.back(), 50);
}

TEST_F(EvaluationTest, ItIsAbandonedAfterABatch) {
  sets_.push_back(SetOf("a.bin", 10));
  sets_.push_back(SetOf("b.bin", 15));
  options_.after_batch = [](int64_t images) { return images > 20 ? absl::CancelledError("stop") : absl::OkStatus(); };
  EXPECT_EQ(VerifyTogether(backbone_.get(), sets_, options_, {}, &alone_).status(), absl::CancelledError("stop"));
}

}  // namespace
}  // namespace arcshard::worker
