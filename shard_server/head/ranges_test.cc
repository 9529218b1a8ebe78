// Pass 2 of one head that holds all classes against that of several heads that hold ranges of them, fed with the same
// embeddings, labels, r and t: every row is the same, bit for bit. So what a run has computed can be checked on one
// machine, and a range can be rebuilt under other boundaries. On the CPU: a GPU's library chooses its products by the
// number of rows.

#include <algorithm>
#include <cmath>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard_server/head/testing/sharded_head.h"

namespace arcshard::head {
namespace {

constexpr int64_t kClasses = 3001, kDim = 36;  // several blocks in each range, the last one not full
constexpr uint64_t kSteps = 6, kSkipped = 4;
constexpr float kLr = 0.05f, kScale = 24.0f;

struct Case {
  std::string name;
  HeadOptions options;
  bool adaptive_margin = false;  // AdaFace's
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::vector<Case> Cases() {
  HeadOptions sgd;
  sgd.num_classes = kClasses;
  sgd.dim = kDim;
  sgd.scale = kScale;
  sgd.seed = 5;
  HeadOptions adamw = sgd;
  adamw.optimizer = AdamWOptions{};
  adamw.sample_rate = 0.3;
  HeadOptions bfloat16 = sgd;
  bfloat16.compute = bfloat16.weights = bfloat16.moments = DataType::kBfloat16;
  HeadOptions all = adamw;
  all.compute = all.weights = all.moments = DataType::kBfloat16;
  all.filter = 0.4f;
  return {{"Sgd", sgd},
          {"SampledAdamWWithAdaFace", adamw, true},
          {"Bfloat16", bfloat16},
          {"FilteredSampledAdamWWithAdaFaceInBfloat16", all, true}};
}

// The groups differ in size, and some labels are repeated.
std::vector<LabelledGroup> GroupsOf(uint64_t step) {
  std::vector<LabelledBatch> batches;
  for (const int64_t samples : {7, 16, 9}) {
    batches.push_back(RandomBatch(10 * step + batches.size(), samples, kDim, kClasses));
    batches.back().labels[0] = 1234;
  }
  return {{batches[0]}, {batches[1], batches[2]}};
}

// The derivatives of the mean cross entropy of a step with ArcFace's margin, or with AdaFace's, which depends on the
// embedding's norm.
struct Derivatives {
  std::vector<float> r, t;

  Derivatives(const LabelledBatch& batch, const SummedOutputs& sums, bool adaptive_margin) {
    const double shift = kScale + std::log(static_cast<double>(kClasses)) - 69.0;
    const size_t samples = batch.labels.size();
    for (size_t i = 0; i < samples; ++i) {
      double square = 0, product = 0;
      for (int64_t d = 0; d < kDim; ++d) {
        const double e = batch.embedding[i * kDim + d];
        square += e * e;
        product += e * sums.own_centers[i * kDim + d];
      }
      const double norm = std::sqrt(square), angle = std::acos(std::clamp(product / norm, -0.999, 0.999));
      const double g = std::clamp((norm - 6.0) / 2.0, -1.0, 1.0);
      const double m2 = adaptive_margin ? -0.4 * g : 0.5, m3 = adaptive_margin ? 0.4 + 0.4 * g : 0.0;
      const double own = std::exp(kScale * (std::cos(angle + m2) - m3) - shift);
      const double slope = kScale * std::sin(angle + m2) / std::sin(angle);
      r.push_back(static_cast<float>(kScale / (sums.z[i] + own) / static_cast<double>(samples)));
      t.push_back(static_cast<float>(-slope * sums.z[i] / (sums.z[i] + own) / static_cast<double>(samples)));
    }
  }
};

class RangesTest : public testing::TestWithParam<std::tuple<Case, int>> {};

TEST_P(RangesTest, OneHeadWithAllClassesHoldsTheRowsOfTheHeadsWithRanges) {
  const auto& [parameters, shards] = GetParam();
  HeadOptions options = parameters.options;
  options.threads = 3;
  ShardedHead whole(options, {{0, kClasses}});  // replays the steps
  options.threads = 2;
  options.exp_budget_bytes = 1 << 16;  // some exponentials are kept, others computed again
  ShardedHead ranges(options, UnevenRanges(kClasses, shards));
  ASSERT_EQ(whole.State(), ranges.State()) << "the first weights";
  const HeadState first = whole.State();
  for (uint64_t step = 1; step <= kSteps; ++step) {
    const std::vector<LabelledGroup> groups = GroupsOf(step);
    const SummedOutputs sums = ranges.Forward(groups);
    whole.Begin(groups);
    if (step == kSkipped) {
      ranges.Discard();
      whole.Discard();
      continue;
    }
    const Derivatives derivatives(Joined(groups), sums, parameters.adaptive_margin);
    for (ShardedHead* head : {&ranges, &whole}) head->Update(groups, derivatives.r, derivatives.t, kLr);
    ASSERT_TRUE(whole.State() == ranges.State()) << "step " << step;
  }
  EXPECT_NE(whole.Weights(), first.weights);
}

INSTANTIATE_TEST_SUITE_P(All, RangesTest, testing::Combine(testing::ValuesIn(Cases()), testing::Values(1, 2, 3, 5)),
                         [](const auto& param) {
                           return absl::StrCat(std::get<0>(param.param).name, "_", std::get<1>(param.param), "_shards");
                         });

}  // namespace
}  // namespace arcshard::head
