// The head alone on the reference cases in tests/data/golden. The test passes alpha and t from the case, because the
// head knows no margins.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/testing/golden_bounds.h"
#include "common/io/safetensors.h"
#include "common/protocol/logit_shift.h"
#include "gtest/gtest.h"
#include "shard_server/head/arithmetic/element_ops.h"
#include "shard_server/head/testing/sharded_head.h"
#include "test_paths.h"

namespace arcshard::head {
namespace {

std::string GoldenFolder() {
  const char* folder = std::getenv("ARCSHARD_GOLDEN_DIR");
  return folder != nullptr ? folder : ARCSHARD_SOURCE_DIR "/tests/data/golden";
}

std::vector<float> Narrowed(const std::vector<double>& x) { return {x.begin(), x.end()}; }

std::vector<double> Minus(const std::vector<double>& x, const std::vector<double>& y) {
  std::vector<double> difference(x.size());
  std::transform(x.begin(), x.end(), y.begin(), difference.begin(), std::minus<>());
  return difference;
}

// An open case file: metadata as numbers, tensors by name and step.
class GoldenCase {
 public:
  explicit GoldenCase(const std::string& name)
      : file_(SafetensorsFile::Open(GoldenFolder() + "/" + name + ".safetensors")) {
    EXPECT_TRUE(file_.ok()) << file_.status();
  }
  bool ok() const { return file_.ok(); }

  std::string Text(const std::string& key) const { return file_->metadata().at(key); }
  double Number(const std::string& key) const {
    double value = std::nan("");
    EXPECT_TRUE(absl::SimpleAtod(Text(key), &value)) << key;
    return value;
  }
  bool standardize() const { return Text("standardize") == "true"; }
  bool magface() const { return !Text("magface").empty() && Text("magface") != "false"; }
  int steps() const { return static_cast<int>(Number("steps")); }

  std::vector<double> Tensor(const std::string& name, int step) const {
    auto values = file_->Read<double>(absl::StrCat(name, "_", step));
    EXPECT_TRUE(values.ok()) << values.status();
    return values.ok() ? *values : std::vector<double>();
  }
  std::vector<int64_t> Labels(int step) const {
    auto values = file_->Read<int64_t>(absl::StrCat("labels_", step));
    EXPECT_TRUE(values.ok()) << values.status();
    return values.ok() ? *values : std::vector<int64_t>();
  }

  // One flag for each class: whether it takes part in the step. All do unless the case is sampled.
  std::vector<uint8_t> Active(int step) const {
    const std::string name = absl::StrCat("active_", step);
    if (!file_->entries().contains(name)) return std::vector<uint8_t>(Options().num_classes, 1);
    auto values = file_->Read<uint8_t>(name);
    EXPECT_TRUE(values.ok()) << values.status();
    return values.ok() ? *values : std::vector<uint8_t>();
  }

  HeadOptions Options() const {
    HeadOptions options;
    const std::vector<int64_t>& shape = file_->entries().at("W_0").shape;
    options.num_classes = shape[0];
    options.dim = shape[1];
    options.scale = static_cast<float>(Number("scale"));
    options.optimizer = SgdOptions{static_cast<float>(Number("momentum")), static_cast<float>(Number("weight_decay"))};
    if (Number("filter") != 0.0) options.filter = static_cast<float>(Number("filter"));
    if (Text("sampled") == "true") {
      options.sample_rate = Number("sample_rate");
      EXPECT_TRUE(absl::SimpleAtoi(Text("sampling_seed"), &options.seed));
    }
    return options;
  }

  // The micro-batches of a step, all in one group or each in a group of its own.
  std::vector<LabelledGroup> Groups(int step, bool one_group) const {
    const std::vector<float> embedding = Narrowed(Tensor(standardize() ? "S" : "E", step));
    const std::vector<int64_t> labels = Labels(step);
    const int64_t dim = Options().dim;
    std::vector<LabelledGroup> groups(1);
    int64_t first = 0;
    for (const auto& size : absl::StrSplit(Text("micro_batches"), ',')) {
      int64_t rows = 0;
      EXPECT_TRUE(absl::SimpleAtoi(size, &rows));
      if (!one_group && !groups.back().empty()) groups.emplace_back();
      groups.back().push_back({{embedding.begin() + first * dim, embedding.begin() + (first + rows) * dim},
                               {labels.begin() + first, labels.begin() + first + rows}});
      first += rows;
    }
    EXPECT_EQ(first, static_cast<int64_t>(labels.size()));
    return groups;
  }

 private:
  absl::StatusOr<SafetensorsFile> file_;
};

// dL/de_i from dL/dê_i = r_i·U_i + t_i·ŵ_y, without the term that the loss adds through |e_i| (docs/design.md §1).
std::vector<double> GradientOfEmbeddings(const SummedOutputs& sums, const LabelledBatch& batch,
                                         const std::vector<float>& r, const std::vector<float>& t) {
  const int64_t dim = static_cast<int64_t>(batch.embedding.size() / batch.labels.size());
  std::vector<double> gradient(batch.embedding.size());
  for (size_t i = 0; i < batch.labels.size(); ++i) {
    const std::vector<double> unit = Unit(&batch.embedding[i * dim], dim);
    std::vector<double> g(dim);
    double radial = 0, norm = 0;
    for (int64_t d = 0; d < dim; ++d) {
      g[d] = r[i] * sums.u[i * dim + d] + t[i] * static_cast<double>(sums.own_centers[i * dim + d]);
      radial += g[d] * unit[d];
      norm += static_cast<double>(batch.embedding[i * dim + d]) * static_cast<double>(batch.embedding[i * dim + d]);
    }
    for (int64_t d = 0; d < dim; ++d) {
      gradient[i * dim + d] = std::sqrt(norm) < 1e-12 ? 0.0 : (g[d] - radial * unit[d]) / std::sqrt(norm);
    }
  }
  return gradient;
}

// Removes each row's component along e_i, which contains the term that a loss adds through |e_i|.
std::vector<double> WithoutRadialPart(std::vector<double> gradient, const LabelledBatch& batch) {
  const int64_t dim = static_cast<int64_t>(batch.embedding.size() / batch.labels.size());
  for (size_t i = 0; i < batch.labels.size(); ++i) {
    const std::vector<double> unit = Unit(&batch.embedding[i * dim], dim);
    double radial = 0;
    for (int64_t d = 0; d < dim; ++d) radial += gradient[i * dim + d] * unit[d];
    for (int64_t d = 0; d < dim; ++d) gradient[i * dim + d] -= radial * unit[d];
  }
  return gradient;
}

// The gradient with respect to e from that with respect to s = (e - mean)/sqrt(var + 2e-5).
std::vector<double> ThroughStandardization(const std::vector<double>& gradient, const std::vector<double>& e,
                                           int64_t dim) {
  const int64_t samples = static_cast<int64_t>(e.size()) / dim;
  std::vector<double> result(e.size());
  for (int64_t d = 0; d < dim; ++d) {
    double mean = 0, variance = 0, g_mean = 0, gs_mean = 0;
    for (int64_t i = 0; i < samples; ++i) mean += e[i * dim + d] / samples;
    for (int64_t i = 0; i < samples; ++i) variance += std::pow(e[i * dim + d] - mean, 2) / samples;
    const double deviation = std::sqrt(variance + 2e-5);
    for (int64_t i = 0; i < samples; ++i) {
      g_mean += gradient[i * dim + d] / samples;
      gs_mean += gradient[i * dim + d] * (e[i * dim + d] - mean) / deviation / samples;
    }
    for (int64_t i = 0; i < samples; ++i) {
      const double s = (e[i * dim + d] - mean) / deviation;
      result[i * dim + d] = (gradient[i * dim + d] - g_mean - s * gs_mean) / deviation;
    }
  }
  return result;
}

struct Trace {
  std::vector<SummedOutputs> sums;
  std::vector<std::vector<float>> weights, momentum;
  friend bool operator==(const Trace&, const Trace&) = default;
};

struct Case {
  std::string name;
  DataType compute;

  bool narrow() const { return compute == DataType::kBfloat16; }

  // The bounds of tests/data/golden/README.md. For dE, dW, V and W_i - W_{i-1}, relative to a tensor's largest value:
  double Tolerance(const HeadOptions& options) const {
    if (narrow()) return Bfloat16BoundsOf(options.scale, options.dim).gradients;
    return name == "near_0_and_pi" ? 2e-3 : 5e-5;
  }
  // Absolute, for a sample's cosine to its own center, and for its lse. `updates`: of the centers since they were the
  // reference's.
  static double CosTolerance(const HeadOptions& options, int updates) {
    return 5e-7 + CosToleranceOfUpdates(options.dim, updates);
  }
  double LseTolerance(const HeadOptions& options, int updates, double lse) const {
    if (narrow()) return Bfloat16BoundsOf(options.scale, options.dim).lse;
    return 5e-6 * std::max(1.0, std::abs(lse)) + options.scale * CosToleranceOfUpdates(options.dim, updates);
  }
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

class GoldenTest : public testing::TestWithParam<Case> {
 protected:
  // r = α·s/z, with z summed over the shards.
  static std::vector<float> R(const GoldenCase& golden, int step, const SummedOutputs& sums) {
    std::vector<float> r = Narrowed(golden.Tensor("alpha", step));
    for (size_t i = 0; i < r.size(); ++i) {
      r[i] = sums.z[i] == 0.0 ? 0.0f : static_cast<float>(r[i] * golden.Number("scale") / sums.z[i]);
    }
    return r;
  }

  // `updates`: as for the tolerances.
  static void CheckPass1(const GoldenCase& golden, int step, const SummedOutputs& sums, int updates) {
    const HeadOptions options = golden.Options();
    const Case& c = GetParam();
    const LabelledBatch batch = Joined(golden.Groups(step, /*one_group=*/true));
    const std::vector<float> r = R(golden, step, sums);
    const std::vector<double> lse = golden.Tensor("lse", step), cos = golden.Tensor("cos", step);
    const double shift = LogitShift(options.scale, options.num_classes);
    for (size_t i = 0; i < lse.size(); ++i) {
      if (std::isfinite(lse[i])) {
        EXPECT_NEAR(std::log(sums.z[i]) + shift, lse[i], c.LseTolerance(options, updates, lse[i])) << "sample " << i;
      } else {
        EXPECT_EQ(sums.z[i], 0.0) << "sample " << i << " has no negative";
      }
      const std::vector<double> unit = Unit(&batch.embedding[i * options.dim], options.dim);
      const float* center = &sums.own_centers[i * options.dim];
      EXPECT_NEAR(std::inner_product(unit.begin(), unit.end(), center, 0.0), cos[i],
                  Case::CosTolerance(options, updates))
          << "sample " << i;
    }
    std::vector<double> gradient = GradientOfEmbeddings(sums, batch, r, Narrowed(golden.Tensor("t", step)));
    std::vector<double> reference = golden.Tensor("dE", step);
    if (golden.magface()) reference = WithoutRadialPart(reference, batch);
    if (golden.standardize()) gradient = ThroughStandardization(gradient, golden.Tensor("E", step), options.dim);
    EXPECT_LE(RelativeDifference(gradient, reference), c.Tolerance(options)) << "dE";
  }

  // Compares bit for bit. A class that takes part changes because of weight decay, unless its weights are 0.
  static void ExpectOnlyActiveClassesChanged(const std::vector<double>& before, const std::vector<double>& after,
                                             const std::vector<uint8_t>& active) {
    const size_t dim = before.size() / active.size();
    for (size_t j = 0; j < active.size(); ++j) {
      const auto row = before.begin() + j * dim;
      const bool zero = std::all_of(row, row + dim, [](double w) { return std::abs(w) < 1e-12; });
      EXPECT_EQ(std::equal(row, row + dim, after.begin() + j * dim), active[j] == 0 || zero) << "class " << j;
    }
  }

  // Runs all steps of the case. With `check`, compares every result of every step with the reference.
  static Trace Run(const GoldenCase& golden, int shards, bool one_group, int64_t budget, bool check) {
    HeadOptions options = golden.Options();
    options.exp_budget_bytes = budget;
    options.threads = 2;
    options.compute = GetParam().compute;
    const double tolerance = GetParam().Tolerance(options);
    const auto ranges = UnevenRanges(options.num_classes, shards);
    const float lr = static_cast<float>(golden.Number("lr"));
    ShardedHead head(options, ranges);
    ShardedHead from_reference(options, ranges);  // begins each step with the reference's class centers
    options.optimizer = SgdOptions{0.0f, 0.0f};   // the momentum after a step is the gradient
    ShardedHead probe(options, ranges);
    head.SetWeights(Narrowed(golden.Tensor("W", 0)));
    Trace trace;
    std::vector<double> before = Widened(head.Weights());
    for (int step = 1; step <= golden.steps(); ++step) {
      SCOPED_TRACE(absl::StrCat("step ", step));
      const auto groups = golden.Groups(step, one_group);
      const std::vector<float> t = Narrowed(golden.Tensor("t", step));
      int updates = step - 1;  // of the head's class centers since they were the reference's
      if (step > 1 && options.compute == DataType::kBfloat16) {
        // Each step starts from the reference, because the differences of rounded steps grow.
        updates = 0;
        head.SetWeights(Narrowed(golden.Tensor("W", step - 1)));
        head.SetMoment(0, Narrowed(golden.Tensor("V", step - 1)));
        before = Widened(head.Weights());
      }
      probe.SetWeights(head.Weights());
      probe.SetMoment(0, std::vector<float>(before.size()));
      probe.Forward(groups);
      const SummedOutputs sums = head.Forward(groups);
      const std::vector<float> r = R(golden, step, sums);
      probe.Update(groups, r, t, 0.0f);
      head.Update(groups, r, t, lr);
      trace.sums.push_back(sums);
      trace.weights.push_back(head.Weights());
      trace.momentum.push_back(head.Momentum());
      const std::vector<double> after = Widened(head.Weights());
      if (check) {
        // A float32 weight is rounded by up to half a unit in the last place. Where only weight decay changes it, as in
        // one_class, that is 1e-3 of the change.
        const std::vector<double> change = Minus(golden.Tensor("W", step), golden.Tensor("W", step - 1));
        CheckPass1(golden, step, sums, updates);
        from_reference.SetWeights(Narrowed(golden.Tensor("W", step - 1)));
        CheckPass1(golden, step, from_reference.Forward(groups), 0);
        from_reference.Discard();
        EXPECT_LE(RelativeDifference(Widened(probe.Momentum()), golden.Tensor("dW", step)), tolerance) << "dW";
        EXPECT_LE(RelativeDifference(Widened(head.Momentum()), golden.Tensor("V", step)), tolerance) << "V";
        ExpectOnlyActiveClassesChanged(before, after, golden.Active(step));
        EXPECT_LE(LargestDifference(Minus(after, before), change),
                  tolerance * Largest(change) + 0x1p-24 * Largest(after))
            << "W_i - W_{i-1}";
      }
      before = after;
    }
    return trace;
  }
};

TEST_P(GoldenTest, AnyNumberOfShardsAndGroupsGivesTheReferenceAndKeptExponentialsTheSameBits) {
  const GoldenCase golden(GetParam().name);
  ASSERT_TRUE(golden.ok());
  for (const int shards : {1, 2, 3, 5}) {
    for (const bool one_group : {true, false}) {
      SCOPED_TRACE(absl::StrCat(shards, " shards, ", one_group ? "one group" : "a group for each micro-batch"));
      const Trace recomputed = Run(golden, shards, one_group, 0, /*check=*/true);
      for (const int64_t budget : {int64_t{3000}, int64_t{1} << 20}) {
        EXPECT_EQ(Run(golden, shards, one_group, budget, /*check=*/false), recomputed) << "budget of " << budget;
      }
      if (HasFailure()) return;
    }
  }
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const char* name : {"adaface",
                           "almost_learned",
                           "arcface",
                           "arcface_monotonic",
                           "arcface_scale_1",
                           "arcface_straight_through",
                           "combined",
                           "cosface",
                           "filtered",
                           "magface",
                           "more_samples_than_classes",
                           "near_0_and_pi",
                           "negative_margin_few_classes",
                           "one_class",
                           "one_sample",
                           "per_sample_margins",
                           "sampled_3_steps",
                           "seed_chapter",
                           "softmax",
                           "sphereface",
                           "three_steps_wide",
                           "uneven_micro_batches",
                           "weighted",
                           "zero_vectors"}) {
    for (const DataType compute : {DataType::kFloat32, DataType::kBfloat16}) cases.push_back({name, compute});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest, testing::ValuesIn(Cases()), [](const auto& case_info) {
  return absl::StrCat(case_info.param.name, case_info.param.compute == DataType::kBfloat16 ? "_bfloat16" : "");
});

}  // namespace
}  // namespace arcshard::head
