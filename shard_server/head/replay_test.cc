// Steps that are replayed: Begin and Update, without Forward. options_test.cc compares them with computed steps for all
// options.

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard_server/head/testing/sharded_head.h"
#include "shard_server/head/testing/test_device.h"

namespace arcshard::head {
namespace {

using testing::HasSubstr;

constexpr int64_t kClasses = 300, kDim = 12, kSamples = 6;
constexpr float kLr = 0.1f;

MATCHER_P(IsInvalid, message, "") {
  return arg.code() == absl::StatusCode::kInvalidArgument && testing::Matches(HasSubstr(message))(arg.message());
}

HeadOptions Options() {
  HeadOptions options;
  options.num_classes = kClasses;
  options.dim = kDim;
  options.threads = 2;
  options.device = TestDevice();
  return options;
}

// A step of two groups, which have one micro-batch and two.
struct Step {
  std::vector<LabelledGroup> labelled;
  std::vector<float> r = std::vector<float>(3 * kSamples, 1e-25f), t = std::vector<float>(3 * kSamples, -0.5f);

  explicit Step(uint64_t seed) : labelled(2) {
    for (uint64_t m = 0; m < 3; ++m) {
      labelled[m == 0 ? 0 : 1].push_back(RandomBatch(10 * seed + m, kSamples, kDim, kClasses));
    }
  }

  void Compute(ShardedHead& head) const {
    head.Forward(labelled);
    head.Update(labelled, r, t, kLr);
  }
  void Replay(ShardedHead& head) const {
    head.Begin(labelled);
    head.Update(labelled, r, t, kLr);
  }

  // The inputs of a head's Update.
  std::vector<Group> Groups() const {
    std::vector<Group> groups;
    size_t first = 0;
    for (const LabelledGroup& group : labelled) {
      groups.emplace_back();
      for (const LabelledBatch& batch : group) {
        groups.back().push_back({{{batch.embedding.data(), kSamples, kDim}, batch.labels},
                                 absl::MakeConstSpan(r).subspan(first, kSamples),
                                 absl::MakeConstSpan(t).subspan(first, kSamples)});
        first += kSamples;
      }
    }
    return groups;
  }
};

// Calls Forward for one group, and drops the outputs.
absl::Status Forward(Head* head, const Group& group) {
  std::vector<float> z(group.size() * kSamples), u(z.size() * kDim), own(z.size() * kDim);
  std::vector<ForwardInput> inputs;
  std::vector<ForwardOutput> outputs;
  for (size_t m = 0; m < group.size(); ++m) {
    const size_t first = m * kSamples;
    inputs.push_back(group[m].forward);
    outputs.push_back({absl::MakeSpan(z).subspan(first, kSamples),
                       {u.data() + first * kDim, kSamples, kDim},
                       {own.data() + first * kDim, kSamples, kDim}});
  }
  return head->Forward(inputs, outputs);
}

TEST(ReplayTest, AnUpdateAfterSomeOfItsForwardsIsRefused) {
  ShardedHead head(Options(), {{0, kClasses}}), expected(Options(), {{0, kClasses}});
  const Step step(1);
  const std::vector<Group> groups = step.Groups();
  const HeadState before = head.State();
  head.Begin(step.labelled);
  ASSERT_TRUE(Forward(head.head(0), groups[0]).ok());
  EXPECT_THAT(head.head(0)->Update(groups, kLr),
              IsInvalid("the update has 2 groups, but Forward took 1 in step 1: it must take all of them, or none"));
  EXPECT_EQ(head.State(), before);
  ASSERT_TRUE(Forward(head.head(0), groups[1]).ok());
  EXPECT_TRUE(head.head(0)->Update(groups, kLr).ok());
  step.Replay(expected);
  EXPECT_EQ(head.State(), expected.State());
}

TEST(ReplayTest, AReplayAfterADiscardedStepHasTheBitsOfAComputedStep) {
  HeadOptions options = Options();
  for (const double rate : {1.0, 0.3}) {
    options.sample_rate = rate;
    options.exp_budget_bytes = 1 << 20;
    const std::vector<ClassRange> ranges = UnevenRanges(kClasses, 2);
    ShardedHead straight(options, ranges), discarding(options, ranges);
    for (ShardedHead* head : {&straight, &discarding}) Step(1).Compute(*head);
    // A computed step, whose exponentials are kept, and one that was begun in order to replay it.
    discarding.Forward(Step(2).labelled);
    discarding.Discard();
    discarding.Begin(Step(3).labelled);
    discarding.Discard();
    EXPECT_EQ(discarding.State(), straight.State());
    for (int step = 0; step < 2; ++step) straight.Begin({}), straight.Discard();
    Step(4).Compute(straight);
    Step(4).Replay(discarding);
    EXPECT_EQ(discarding.State(), straight.State());
    for (ShardedHead* head : {&straight, &discarding}) Step(5).Compute(*head);
    EXPECT_EQ(discarding.State(), straight.State());
  }
}

TEST(ReplayTest, TheInputsOfAReplayedStepAreCheckedAndARefusalChangesNothing) {
  ShardedHead head(Options(), {{0, kClasses}});
  const Step step(1);
  const std::vector<Group> groups = step.Groups();
  const HeadState before = head.State();
  EXPECT_EQ(head.head(0)->Update(groups, kLr).code(), absl::StatusCode::kFailedPrecondition);
  head.Begin(step.labelled);
  const auto update = [&](auto change) {
    std::vector<Group> changed = groups;
    change(changed);
    return head.head(0)->Update(changed, kLr);
  };
  const std::vector<int64_t> outside(kSamples, kClasses);
  EXPECT_THAT(update([](auto& g) { g[1][1].forward.embedding.cols = kDim - 1; }),
              IsInvalid("group 1: micro-batch 1 of the group has embeddings of shape 6x11"));
  EXPECT_THAT(update([&](auto& g) { g[1][0].forward.labels = outside; }), IsInvalid("has label 300"));
  EXPECT_THAT(update([](auto& g) { g[0][0].r.remove_suffix(1); }), IsInvalid("group 0: micro-batch 0 of the group"));
  EXPECT_THAT(update([](auto& g) { g[0][0].t.remove_suffix(1); }), IsInvalid("5 of t"));
  // 4097 times 4096 samples are more than 2^24.
  const std::vector<int64_t> labels(4096, 0);
  const std::vector<float> values(4096 * kDim);
  const absl::Span<const float> gradient = absl::MakeConstSpan(values).first(4096);
  const UpdateInput large = {{{values.data(), 4096, kDim}, labels}, gradient, gradient};
  EXPECT_THAT(update([&](auto& g) { g[0].assign(4097, large); }), IsInvalid("is larger than 16777216"));
  EXPECT_THAT(head.head(0)->Update(groups, std::nanf("")), IsInvalid("learning rate is nan"));
  EXPECT_EQ(head.State(), before);
  EXPECT_TRUE(head.head(0)->Update(groups, kLr).ok());
  EXPECT_NE(head.State(), before);
}

TEST(ReplayTest, ASampledReplayTakesOnlyLabelsThatTheStepWasBegunWith) {
  HeadOptions options = Options();
  options.sample_rate = 0.5;
  ShardedHead head(options, {{0, kClasses}});
  Step step(1);
  for (LabelledBatch* batch : {&step.labelled[0][0], &step.labelled[1][0], &step.labelled[1][1]}) {
    batch->labels.assign(kSamples, 7);
  }
  head.Begin(step.labelled);
  step.labelled[1][0].labels[2] = 8;
  EXPECT_THAT(head.head(0)->Update(step.Groups(), kLr),
              IsInvalid("group 1: micro-batch 0 of the group has label 8, which was not among those that step 1"));
  step.labelled[1][0].labels[2] = 7;
  EXPECT_TRUE(head.head(0)->Update(step.Groups(), kLr).ok());
}

TEST(ReplayTest, AReplayedStepWithoutSamplesDecaysTheWeightsAsAComputedOneDoes) {
  ShardedHead computing(Options(), UnevenRanges(kClasses, 2)), replaying(Options(), UnevenRanges(kClasses, 2));
  const HeadState first = computing.State();
  for (const std::vector<LabelledGroup>& groups : {std::vector<LabelledGroup>(), std::vector<LabelledGroup>(2)}) {
    computing.Forward(groups);
    computing.Update(groups, {}, {}, kLr);
    replaying.Begin(groups);
    replaying.Update(groups, {}, {}, kLr);
    EXPECT_EQ(replaying.State(), computing.State());
  }
  EXPECT_NE(replaying.State(), first);
}

}  // namespace
}  // namespace arcshard::head
