// Optimizers, sampling, the filter, and compute and stored types, alone and in combination, against the plain formula
// in float64.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/testing/golden_bounds.h"
#include "gtest/gtest.h"
#include "shard_server/head/testing/dense_head.h"

namespace arcshard::head {
namespace {

constexpr DataType kF32 = DataType::kFloat32, kBf16 = DataType::kBfloat16;
constexpr Bfloat16Products kWidened = Bfloat16Products::kWidened;

struct Choice {
  bool adamw;
  double sample_rate;
  float filter;
  DataType compute, weights, moments;
  Bfloat16Products products = Bfloat16Products::kNative;
};

std::vector<Choice> Choices() {
  std::vector<Choice> choices;
  for (const bool adamw : {false, true}) {
    for (const double rate : {1.0, 0.3}) {
      for (const float filter : {1.0f, 0.2f}) {
        for (const DataType compute : {kF32, kBf16}) {
          for (const DataType weights : {kF32, kBf16}) {
            for (const DataType moments : {kF32, kBf16}) {
              choices.push_back({adamw, rate, filter, compute, weights, moments});
              // How factors are multiplied does not depend on how they are stored.
              if (compute == kBf16 && weights == kF32 && moments == kF32)
                choices.push_back({adamw, rate, filter, compute, weights, moments, kWidened});
            }
          }
        }
      }
    }
  }
  return choices;
}

std::string NameOf(const Choice& c) {
  const auto name = [](DataType type) { return type == kF32 ? "32" : "16"; };
  return absl::StrCat(c.adamw ? "AdamW" : "Sgd", c.sample_rate < 1 ? "Sampled" : "", c.filter < 1 ? "Filtered" : "",
                      "Compute", name(c.compute), c.products == kWidened ? "Widened" : "", "Weights", name(c.weights),
                      "Moments", name(c.moments));
}

void PrintTo(const Choice& choice, std::ostream* out) { *out << NameOf(choice); }

class OptionsTest : public testing::TestWithParam<Choice> {
 protected:
  static constexpr int64_t kClasses = 301, kDim = 36, kSamples = 7;
  static constexpr float kLr = 0.01f, kScale = 16.0f;

  static HeadOptions Options() {
    const Choice& choice = GetParam();
    HeadOptions options;
    options.num_classes = kClasses;
    options.dim = kDim;
    options.scale = kScale;
    options.threads = 2;
    options.seed = 11;
    options.sample_rate = choice.sample_rate;
    options.filter = choice.filter;
    if (choice.adamw) options.optimizer = AdamWOptions{};
    options.compute = choice.compute;
    options.bfloat16_products = choice.products;
    options.weights = choice.weights;
    options.moments = choice.moments;
    return options;
  }

  static std::vector<LabelledGroup> GroupsOf(uint64_t step) {
    std::vector<LabelledBatch> batches;
    for (uint64_t m = 0; m < 3; ++m) {
      batches.push_back(RandomBatch(step * 10 + m, kSamples, kDim, kClasses));
      batches.back().labels[0] = 5;  // a class with a sample in each micro-batch
    }
    return {{batches[0]}, {batches[1], batches[2]}};
  }

  static std::vector<float> R(const SummedOutputs& sums) {
    std::vector<float> r;
    for (const double z : sums.z) r.push_back(static_cast<float>(kScale / z / static_cast<double>(sums.z.size())));
    return r;
  }

  // Whether the sample has a negative so near the filter's threshold that bfloat16 may see it on the other side, which
  // changes the sample by more than rounding does. tests/data/golden/README.md derives the distance, 4σ/s.
  static bool IsNearTheFilter(const float* embedding, int64_t label, const std::vector<float>& weights) {
    const double near = Bfloat16BoundsOf(kScale, kDim).lse / kScale;
    const std::vector<double> e = Unit(embedding, kDim);
    for (int64_t j = 0; j < kClasses; ++j) {
      const std::vector<double> w = Unit(&weights[j * kDim], kDim);
      const double cosine = std::inner_product(w.begin(), w.end(), e.begin(), 0.0);
      if (j != label && std::abs(cosine - GetParam().filter) < near) return true;
    }
    return false;
  }

  // Draws each sample anew that is near the filter.
  static void KeepOffTheFilter(const std::vector<float>& weights, std::vector<LabelledGroup>* groups) {
    uint64_t seed = 1000;
    for (LabelledGroup& group : *groups) {
      for (LabelledBatch& batch : group) {
        for (size_t i = 0; i < batch.labels.size(); ++i) {
          float* const embedding = &batch.embedding[i * kDim];
          while (IsNearTheFilter(embedding, batch.labels[i], weights)) {
            const std::vector<float> another = RandomNormals(++seed, kDim);
            std::copy(another.begin(), another.end(), embedding);
          }
        }
      }
    }
  }

  // Makes one step and returns its summed outputs.
  static SummedOutputs Step(ShardedHead& head, uint64_t step) {
    const auto groups = GroupsOf(step);
    const SummedOutputs sums = head.Forward(groups);
    head.Update(groups, R(sums), RandomNormals(step, static_cast<int64_t>(sums.z.size())), kLr);
    return sums;
  }
};

TEST_P(OptionsTest, OneStepAgreesWithTheFormula) {
  const Choice& choice = GetParam();
  ShardedHead head(Options(), UnevenRanges(kClasses, 3));
  // Weights stored in bfloat16 are exact in float32, so both heads start from the same values.
  DenseHead dense(Options(), head.Weights());
  auto groups = GroupsOf(1);
  if (choice.filter < 1) KeepOffTheFilter(head.Weights(), &groups);
  const LabelledBatch batch = Joined(groups);
  dense.Begin(batch.labels);
  const SummedOutputs sums = head.Forward(groups), expected = dense.Forward(batch);
  const bool narrow = choice.compute == kBf16;
  const double products = narrow ? Bfloat16BoundsOf(kScale, kDim).lse : 5e-5;
  EXPECT_LE(RelativeDifference(sums.z, expected.z), products) << "z";
  EXPECT_LE(RelativeDifference(sums.u, expected.u), products) << "U";
  EXPECT_LE(RelativeDifference(Widened(sums.own_centers), Widened(expected.own_centers)), 1e-6) << "own centers";
  const std::vector<float> r = R(sums), t = RandomNormals(1, static_cast<int64_t>(r.size()));
  head.Update(groups, r, t, kLr);
  dense.Update(batch, r, t, kLr);
  // Stochastic rounding has an error below 2^-7 of the value.
  const double held = products + (choice.moments == kBf16 ? 0x1p-7 : 0.0);
  EXPECT_LE(RelativeDifference(Widened(head.Moment(0)), dense.moment(0)), held);
  if (choice.adamw) {
    EXPECT_LE(RelativeDifference(Widened(head.Moment(1)), dense.moment(1)), 2 * held);
  }
  // SGD's step is lr times the moment. AdamW's first step is lr·sign(gradient), whatever the size of the gradient:
  // bfloat16 can change the sign of the smallest gradients, and even float32 has some error. adamw_test.cc is exact.
  const double step = kLr * (!choice.adamw ? held * Largest(dense.moment(0)) : narrow ? 2.0 : 0.05);
  const double weight = choice.weights == kBf16 ? 0x1p-7 * Largest(dense.weights()) : 0.0;
  EXPECT_LE(LargestDifference(Widened(head.Weights()), dense.weights()), step + weight);
}

TEST_P(OptionsTest, ClassesThatTakeNoPartKeepEveryBitAndTheOthersChange) {
  ShardedHead head(Options(), UnevenRanges(kClasses, 2));
  DenseHead dense(Options(), head.Weights());
  Step(head, 1);  // so that moments are not all 0
  dense.Begin(Joined(GroupsOf(1)).labels);
  const HeadState before = head.State();
  Step(head, 2);
  const HeadState after = head.State();
  dense.Begin(Joined(GroupsOf(2)).labels);
  for (int64_t j = 0; j < kClasses; ++j) {
    const auto same = [&](const std::vector<float>& x, const std::vector<float>& y) {
      return std::equal(x.begin() + j * kDim, x.begin() + (j + 1) * kDim, y.begin() + j * kDim);
    };
    const bool active = dense.active()[j];
    EXPECT_EQ(same(before.weights, after.weights), !active) << j;
    for (size_t i = 0; i < before.moments.size(); ++i) {
      EXPECT_EQ(same(before.moments[i], after.moments[i]), !active) << j << ", moment " << i;
    }
    if (GetParam().adamw) {
      EXPECT_EQ(after.counts[j], before.counts[j] + active) << j;
    }
  }
}

TEST_P(OptionsTest, KeptExponentialsGiveTheBitsOfThoseComputedAgain) {
  HeadOptions options = Options();
  const auto ranges = UnevenRanges(kClasses, 2);
  ShardedHead again(options, ranges);
  options.exp_budget_bytes = 6000;
  ShardedHead keeping_some(options, ranges);
  options.exp_budget_bytes = 1 << 20;
  ShardedHead keeping_all(options, ranges);
  for (uint64_t step = 1; step <= 3; ++step) {
    const SummedOutputs sums = Step(again, step);
    EXPECT_EQ(Step(keeping_some, step), sums);
    EXPECT_EQ(Step(keeping_all, step), sums);
  }
  EXPECT_EQ(keeping_some.State(), again.State());
  EXPECT_EQ(keeping_all.State(), again.State());
}

// Inverse norms cannot be read; the outputs of a computed step depend on them.
TEST_P(OptionsTest, AReplayedStepHasTheBitsOfAComputedOne) {
  const std::vector<ClassRange> ranges = {{0, 0}, {0, 106}, {106, kClasses}};
  for (const int64_t budget : {0, 6000, 1 << 20}) {
    HeadOptions options = Options();
    options.exp_budget_bytes = budget;
    ShardedHead computing(options, ranges), replaying(options, ranges), taking_turns(options, ranges);
    for (uint64_t step = 1; step <= 5; ++step) {
      std::vector<LabelledGroup> groups = GroupsOf(step);
      if (step == 3) groups = {{Joined(groups)}};
      if (step == 4) groups.insert(groups.begin() + 1, LabelledGroup());  // without samples
      const SummedOutputs sums = computing.Forward(groups);
      replaying.Begin(groups);
      if (step % 2 == 1) {
        taking_turns.Begin(groups);
      } else {
        EXPECT_EQ(taking_turns.Forward(groups), sums) << "step " << step;
      }
      const std::vector<float> r = R(sums), t = RandomNormals(step, static_cast<int64_t>(r.size()));
      for (ShardedHead* head : {&computing, &replaying, &taking_turns}) head->Update(groups, r, t, kLr);
      EXPECT_EQ(replaying.State(), computing.State()) << "step " << step;
      EXPECT_EQ(taking_turns.State(), computing.State()) << "step " << step;
    }
    const SummedOutputs sums = computing.Forward(GroupsOf(6));
    EXPECT_EQ(replaying.Forward(GroupsOf(6)), sums);
    EXPECT_EQ(taking_turns.Forward(GroupsOf(6)), sums);
  }
}

TEST_P(OptionsTest, ADiscardedStepLeavesNoTraceAndARangeTakenOverGoesOnWithTheSameBits) {
  const auto ranges = UnevenRanges(kClasses, 2);
  ShardedHead straight(Options(), ranges), skipping(Options(), ranges);
  Step(straight, 1);
  Step(skipping, 1);
  const HeadState state = skipping.State();
  skipping.Forward(GroupsOf(2));
  skipping.Discard();
  EXPECT_EQ(skipping.State(), state);
  straight.Forward({});  // a step without samples, to keep the step numbers equal
  straight.Discard();
  ShardedHead taking_over(Options(), ranges);
  for (int step = 1; step <= 2; ++step) taking_over.Forward({}), taking_over.Discard();
  taking_over.SetState(state);
  EXPECT_EQ(taking_over.State(), state) << "stored values pass through float32 unchanged";
  Step(straight, 3);
  Step(skipping, 3);
  Step(taking_over, 3);
  EXPECT_EQ(skipping.State(), straight.State());
  EXPECT_EQ(taking_over.State(), straight.State());
}

TEST_P(OptionsTest, ANonFiniteEmbeddingSpoilsItsOwnSampleOnly) {
  ShardedHead head(Options(), UnevenRanges(kClasses, 2));
  auto groups = GroupsOf(1);
  const SummedOutputs good = head.Forward(groups);
  head.Discard();
  groups[0][0].embedding[2 * kDim + 3] = std::nanf("");
  ShardedHead other(Options(), UnevenRanges(kClasses, 2));
  const SummedOutputs bad = other.Forward(groups);
  for (size_t i = 0; i < good.z.size(); ++i) {
    EXPECT_EQ(std::isfinite(bad.z[i]), i != 2) << i;
    if (i == 2) continue;
    EXPECT_EQ(bad.z[i], good.z[i]) << i;
    EXPECT_TRUE(std::equal(good.u.begin() + i * kDim, good.u.begin() + (i + 1) * kDim, bad.u.begin() + i * kDim)) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(All, OptionsTest, testing::ValuesIn(Choices()),
                         [](const auto& choice) { return NameOf(choice.param); });

}  // namespace
}  // namespace arcshard::head
