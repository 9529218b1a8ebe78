// The GPU's head on the processor of the host (testing/host_gpu.h) against the CPU's, over the combinations of the
// options that its kernels know. Blocks are so small that every shard but the first has several, the last one ragged.
#include "shard_server/head/cuda/cuda_head.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <ostream>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard_server/head/cuda/testing/host_gpu.h"
#include "shard_server/head/testing/sharded_head.h"

namespace arcshard::head {
namespace {

constexpr int64_t kClasses = 420, kDim = 21, kBlockRows = 112;
constexpr DataType kFloat32 = DataType::kFloat32, kBfloat16 = DataType::kBfloat16;
constexpr float kLr = 0.05f;
constexpr uint64_t kSteps = 3;

HeadOptions Options(const std::tuple<DataType, DataType, DataType, bool, bool, bool>& of) {
  const auto [compute, weights, moments, adamw, sampled, filtered] = of;
  HeadOptions options;
  options.num_classes = kClasses;
  options.dim = kDim;
  options.scale = 24.0f;
  options.seed = 11;
  options.compute = compute;
  options.weights = weights;
  options.moments = moments;
  if (adamw) options.optimizer = AdamWOptions{};
  if (sampled) options.sample_rate = 0.4;
  if (filtered) options.filter = 0.25f;
  return options;
}

ShardedHead Heads(HeadOptions options, Device device) {
  options.device = device;
  std::vector<std::unique_ptr<Head>> heads;
  for (const ClassRange& range : UnevenRanges(kClasses, 3)) {
    options.range = range;
    absl::StatusOr<std::unique_ptr<Head>> head = device == Device::kCuda
                                                     ? CudaHead::Create(options, kBlockRows)
                                                     : Head::Create(options, Head::RequiredBytes(options));
    EXPECT_TRUE(head.ok()) << head.status();
    heads.push_back(*std::move(head));
  }
  return ShardedHead(std::move(heads));
}

// Labels repeat. In step 2 every label is the same, so that two of the shards own none.
std::vector<LabelledGroup> GroupsOf(uint64_t step) {
  std::vector<LabelledBatch> batches;
  for (const int64_t samples : {12, 5, 17}) {
    batches.push_back(RandomBatch(10 * step + batches.size(), samples, kDim, kClasses));
    batches.back().labels[1] = 200;
    if (step == 2) std::fill(batches.back().labels.begin(), batches.back().labels.end(), 3);
  }
  return {{batches[0], batches[1]}, {}, {batches[2]}};
}

std::vector<float> R(const SummedOutputs& sums) {
  std::vector<float> r;
  for (const double z : sums.z) r.push_back(static_cast<float>(z == 0 ? 0 : 0.7 / z));
  return r;
}

// |x - reference|/|reference|, over all elements.
double Distance(const std::vector<double>& x, const std::vector<double>& reference) {
  EXPECT_EQ(x.size(), reference.size());
  double difference = 0, all = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    difference += (x[i] - reference[i]) * (x[i] - reference[i]);
    all += reference[i] * reference[i];
  }
  return difference == 0 ? 0 : std::sqrt(difference / all);
}
double Distance(const std::vector<float>& x, const std::vector<float>& reference) {
  return Distance(Widened(x), Widened(reference));
}

class CudaHeadTest : public testing::TestWithParam<std::tuple<DataType, DataType, DataType, bool, bool, bool>> {
 protected:
  // Sums are added in another order than the CPU's. In bfloat16 that makes a few values round to the other side, by
  // 2^-8 of each.
  static double Tolerance(DataType type) {
    return type == kBfloat16 || std::get<0>(GetParam()) == kBfloat16 ? 1e-3 : 3e-6;
  }
  // AdamW's step 1 is lr·g/(|g| + ε): however small a difference of large terms g is, its error relative to itself is
  // that of the step.
  static double ToleranceOfWeights(const HeadOptions& options) {
    return std::max(Tolerance(options.weights), std::holds_alternative<AdamWOptions>(options.optimizer) ? 2e-5 : 0);
  }
};

TEST_P(CudaHeadTest, AgreesWithTheCpusHead) {
  HeadOptions options = Options(GetParam());
  options.exp_budget_bytes = 20000;  // for some of the blocks
  ShardedHead cpu = Heads(options, Device::kCpu), gpu = Heads(options, Device::kCuda);
  EXPECT_LE(Distance(gpu.Weights(), cpu.Weights()), 1e-6) << "first weights";
  for (uint64_t step = 1; step <= kSteps; ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step));
    const std::vector<LabelledGroup> groups = GroupsOf(step);
    cpu.SetState(gpu.State());
    const SummedOutputs sums = gpu.Forward(groups), expected = cpu.Forward(groups);
    EXPECT_LE(Distance(sums.z, expected.z), Tolerance(kFloat32)) << "z";
    EXPECT_LE(Distance(sums.u, expected.u), Tolerance(kFloat32)) << "U";
    EXPECT_LE(Distance(sums.own_centers, expected.own_centers), 1e-6) << "own centers";
    const std::vector<float> r = R(expected), t = RandomNormals(step, static_cast<int64_t>(r.size()));
    gpu.Update(groups, r, t, kLr);
    cpu.Update(groups, r, t, kLr);
    const HeadState state = gpu.State(), expected_state = cpu.State();
    EXPECT_LE(Distance(state.weights, expected_state.weights), ToleranceOfWeights(options)) << "W";
    for (size_t i = 0; i < state.moments.size(); ++i) {
      EXPECT_LE(Distance(state.moments[i], expected_state.moments[i]), Tolerance(options.moments)) << "moment " << i;
    }
    EXPECT_EQ(state.counts, expected_state.counts);
  }
}

struct Trace {
  std::vector<SummedOutputs> sums;
  HeadState state;
  friend bool operator==(const Trace&, const Trace&) = default;
};

TEST_P(CudaHeadTest, NeitherTheBudgetNorTheOrderOfWarpsNorAReplayChangesABit) {
  HeadOptions options = Options(GetParam());
  const auto run = [&](int64_t budget, bool backwards) {
    options.exp_budget_bytes = budget;
    RunWarpsBackwards(backwards);
    ShardedHead head = Heads(options, Device::kCuda);
    Trace trace;
    for (uint64_t step = 1; step <= kSteps; ++step) {
      trace.sums.push_back(head.Forward(GroupsOf(step)));
      const std::vector<float> r = R(trace.sums.back());
      head.Update(GroupsOf(step), r, RandomNormals(step, static_cast<int64_t>(r.size())), kLr);
    }
    trace.state = head.State();
    RunWarpsBackwards(false);
    return trace;
  };
  const Trace expected = run(0, false);
  EXPECT_EQ(run(0, true), expected) << "backwards";
  for (const int64_t budget : {20000, 1 << 20}) EXPECT_EQ(run(budget, true), expected) << "budget of " << budget;

  ShardedHead replayed = Heads(options, Device::kCuda);
  for (uint64_t step = 1; step <= kSteps; ++step) {
    const std::vector<float> r = R(expected.sums[step - 1]);
    replayed.Begin(GroupsOf(step));
    replayed.Update(GroupsOf(step), r, RandomNormals(step, static_cast<int64_t>(r.size())), kLr);
  }
  EXPECT_EQ(replayed.State(), expected.state) << "replayed";
}

// What a checkpoint or a moved range does to a head.
TEST_P(CudaHeadTest, AHeadThatReadsAnotherOnesStateGoesOnWithTheSameBits) {
  const HeadOptions options = Options(GetParam());
  ShardedHead head = Heads(options, Device::kCuda), restored = Heads(options, Device::kCuda);
  for (uint64_t step = 1; step <= kSteps; ++step) {
    SCOPED_TRACE(absl::StrCat("step ", step));
    restored.SetState(head.State());
    const std::vector<LabelledGroup> groups = GroupsOf(step);
    const SummedOutputs sums = head.Forward(groups);
    EXPECT_EQ(restored.Forward(groups), sums);
    const std::vector<float> r = R(sums), t = RandomNormals(step, static_cast<int64_t>(r.size()));
    head.Update(groups, r, t, kLr);
    restored.Update(groups, r, t, kLr);
    EXPECT_EQ(restored.State(), head.State());
  }
}

std::string NameOf(const testing::TestParamInfo<CudaHeadTest::ParamType>& test) {
  const auto [compute, weights, moments, adamw, sampled, filtered] = test.param;
  const auto name = [](DataType type) { return type == kBfloat16 ? "Bfloat16" : "Float32"; };
  return absl::StrCat(name(compute), "Weights", name(weights), "Moments", name(moments), adamw ? "AdamW" : "Sgd",
                      sampled ? "Sampled" : "", filtered ? "Filtered" : "");
}

INSTANTIATE_TEST_SUITE_P(Options, CudaHeadTest,
                         testing::Combine(testing::Values(kFloat32, kBfloat16), testing::Values(kFloat32, kBfloat16),
                                          testing::Values(kFloat32, kBfloat16), testing::Bool(), testing::Bool(),
                                          testing::Bool()),
                         NameOf);

TEST(CudaHeadTest, AHeadThatTheGpuHasNoRoomForIsRefusedWithTheFigures) {
  HeadOptions options;
  options.num_classes = options.range.end = kHostGpuBytes / 4 / 100;
  options.dim = 100;
  options.device = Device::kCuda;
  const absl::Status status = CudaHead::Create(options, kBlockRows).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_NE(status.message().find("of which 4.000 GiB are free"), absl::string_view::npos) << status;
}

}  // namespace
}  // namespace arcshard::head
