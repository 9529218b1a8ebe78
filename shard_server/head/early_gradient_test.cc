// Head::FormGradient: the part of an update that is computed before the decision.

#include <atomic>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard_server/head/testing/sharded_head.h"
#include "shard_server/head/testing/test_device.h"

namespace arcshard::head {
namespace {

constexpr int64_t kClasses = 3001, kDim = 128, kSamples = 6;
constexpr float kLr = 0.1f;
constexpr int64_t kMegabyte = 1 << 20;

struct Choice {
  const char* name;
  bool adamw = false;
  double sample_rate = 1.0;
  DataType type = DataType::kFloat32;
};

class EarlyGradientTest : public testing::TestWithParam<Choice> {
 protected:
  static HeadOptions Options(int64_t budget) {
    HeadOptions options;
    options.num_classes = kClasses;
    options.dim = kDim;
    options.threads = 2;
    options.device = TestDevice();
    options.sample_rate = GetParam().sample_rate;
    options.compute = options.weights = options.moments = GetParam().type;
    if (GetParam().adamw) options.optimizer = AdamWOptions{};
    options.exp_budget_bytes = budget;
    return options;
  }

  EarlyGradientTest() {
    for (uint64_t m = 0; m < 3; ++m) {
      labelled_[m == 0 ? 0 : 1].push_back(RandomBatch(40 + m, kSamples, kDim, kClasses));
    }
    size_t first = 0;
    for (const LabelledGroup& group : labelled_) {
      groups_.emplace_back();
      for (const LabelledBatch& batch : group) {
        groups_.back().push_back({{{batch.embedding.data(), kSamples, kDim}, batch.labels},
                                  absl::MakeConstSpan(r_).subspan(first, kSamples),
                                  absl::MakeConstSpan(t_).subspan(first, kSamples)});
        first += kSamples;
      }
    }
  }

  void Step(ShardedHead& head) const {
    head.Forward(labelled_);
    head.Update(labelled_, r_, t_, kLr);
  }

  // Lets each thread compute about `blocks` blocks at most.
  absl::Status FormGradient(Head* head, int blocks) const {
    std::atomic<int> asked = 0;
    return head->FormGradient(groups_, [&] { return asked++ >= blocks; });
  }

  std::vector<LabelledGroup> labelled_{2};  // one micro-batch and two
  std::vector<float> r_ = std::vector<float>(3 * kSamples, 1e-3f), t_ = std::vector<float>(3 * kSamples, -0.5f);
  std::vector<Group> groups_;
};

TEST_P(EarlyGradientTest, AnUpdateLeavesTheSameBitsHoweverMuchOfItsGradientWasFormedBefore) {
  for (const int64_t budget : {int64_t{0}, kMegabyte / 2, 3 * kMegabyte, 32 * kMegabyte}) {
    for (const int blocks : {0, 1, 2, 1000}) {
      SCOPED_TRACE(absl::StrCat("budget ", budget, ", blocks ", blocks));
      const std::vector<ClassRange> ranges = UnevenRanges(kClasses, 2);
      ShardedHead expected(Options(budget), ranges), early(Options(budget), ranges);
      for (int step = 0; step < 2; ++step) {
        Step(expected);
        early.Forward(labelled_);
        for (const size_t k : {0u, 1u}) {
          const HeadState before = early.State();
          ASSERT_TRUE(FormGradient(early.head(k), blocks).ok());
          EXPECT_EQ(early.State(), before);
          ASSERT_TRUE(FormGradient(early.head(k), 1).ok()) << "it goes on where it stopped";
        }
        early.Update(labelled_, r_, t_, kLr);
        EXPECT_EQ(early.State(), expected.State());
      }
    }
  }
}

TEST_P(EarlyGradientTest, AStepThatIsSkippedLeavesNothingToTheNextOne) {
  const std::vector<ClassRange> ranges = {{0, kClasses}};
  ShardedHead expected(Options(32 * kMegabyte), ranges), skipping(Options(32 * kMegabyte), ranges);
  expected.Begin({});
  expected.Discard();
  skipping.Forward(labelled_);
  std::vector<Group> others = groups_;
  for (Group& group : others) {
    for (UpdateInput& input : group) input.r = input.t;
  }
  ASSERT_TRUE(skipping.head(0)->FormGradient(others, [] { return false; }).ok());
  skipping.Discard();
  for (ShardedHead* head : {&expected, &skipping}) Step(*head);
  EXPECT_EQ(skipping.State(), expected.State());
}

TEST_P(EarlyGradientTest, ItsInputsAreCheckedAsThoseOfTheUpdate) {
  ShardedHead head(Options(kMegabyte), {{0, kClasses}});
  EXPECT_EQ(FormGradient(head.head(0), 1).code(), absl::StatusCode::kFailedPrecondition);
  head.Forward(labelled_);
  const auto never = [] { return false; };
  EXPECT_EQ(head.head(0)->FormGradient(absl::MakeConstSpan(groups_).first(1), never).code(),
            absl::StatusCode::kInvalidArgument);
  groups_[1][1].r = groups_[1][1].r.first(2);
  EXPECT_EQ(head.head(0)->FormGradient(groups_, never).code(), absl::StatusCode::kInvalidArgument);
  head.Discard();
}

INSTANTIATE_TEST_SUITE_P(Options, EarlyGradientTest,
                         testing::Values(Choice{"Sgd"}, Choice{"AdamW", true}, Choice{"Sampled", false, 0.3},
                                         Choice{"Bfloat16", false, 1.0, DataType::kBfloat16},
                                         Choice{"SampledAdamWBfloat16", true, 0.3, DataType::kBfloat16}),
                         [](const auto& choice) { return choice.param.name; });

}  // namespace
}  // namespace arcshard::head
