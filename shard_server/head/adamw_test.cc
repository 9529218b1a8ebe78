// The head's AdamW against results of torch.optim.AdamW that tests/reference/make_adamw_case.py recorded.

#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/io/safetensors.h"
#include "gtest/gtest.h"
#include "shard_server/head/testing/sharded_head.h"
#include "test_paths.h"

namespace arcshard::head {
namespace {

class RecordedCase {
 public:
  RecordedCase() : file_(SafetensorsFile::Open(ARCSHARD_SOURCE_DIR "/tests/data/adamw_head_case.safetensors")) {
    EXPECT_TRUE(file_.ok()) << file_.status();
  }

  double Number(const std::string& key) const {
    double value = 0;
    EXPECT_TRUE(absl::SimpleAtod(file_->metadata().at(key), &value)) << key;
    return value;
  }
  template <typename T>
  std::vector<T> Tensor(absl::string_view name, int step) const {
    auto values = file_->Read<T>(absl::StrCat(name, "_", step));
    EXPECT_TRUE(values.ok()) << values.status();
    return *std::move(values);
  }
  std::vector<float> Floats(absl::string_view name, int step) const {
    const std::vector<double> values = Tensor<double>(name, step);
    return {values.begin(), values.end()};
  }

  HeadOptions Options() const {
    HeadOptions options;
    const std::vector<int64_t>& shape = file_->entries().at("W_0").shape;
    options.num_classes = shape[0];
    options.dim = shape[1];
    options.scale = static_cast<float>(Number("scale"));
    options.seed = static_cast<uint64_t>(Number("seed"));
    options.sample_rate = Number("sample_rate");
    options.optimizer = AdamWOptions{Number("beta1"), Number("beta2"), static_cast<float>(Number("epsilon")),
                                     static_cast<float>(Number("weight_decay"))};
    options.threads = 2;
    return options;
  }

 private:
  absl::StatusOr<SafetensorsFile> file_;
};

TEST(AdamWTest, WeightsMomentsAndCountsArePyTorchsAndAClassThatTakesNoPartPauses) {
  const RecordedCase recorded;
  const HeadOptions options = recorded.Options();
  for (const int shards : {1, 3}) {
    ShardedHead head(options, UnevenRanges(options.num_classes, shards));
    head.SetWeights(recorded.Floats("W", 0));
    int pauses = 0;
    for (int step = 1; step <= static_cast<int>(recorded.Number("steps")); ++step) {
      SCOPED_TRACE(absl::StrCat(shards, " shards, step ", step));
      const std::vector<LabelledGroup> groups = {
          {{recorded.Floats("E", step), recorded.Tensor<int64_t>("labels", step)}}};
      const HeadState before = head.State();
      const SummedOutputs sums = head.Forward(groups);
      std::vector<float> r = recorded.Floats("alpha", step);
      for (size_t i = 0; i < r.size(); ++i) r[i] = static_cast<float>(r[i] * options.scale / sums.z[i]);
      head.Update(groups, r, recorded.Floats("t", step), static_cast<float>(recorded.Number("lr")));
      const HeadState after = head.State();
      EXPECT_LE(RelativeDifference(Widened(after.weights), recorded.Tensor<double>("W", step)), 1e-6) << "W";
      EXPECT_LE(RelativeDifference(Widened(after.moments[0]), recorded.Tensor<double>("M", step)), 1e-6) << "m";
      EXPECT_LE(RelativeDifference(Widened(after.moments[1]), recorded.Tensor<double>("V", step)), 1e-6) << "v";
      const std::vector<int64_t> counts = recorded.Tensor<int64_t>("counts", step);
      EXPECT_TRUE(std::equal(counts.begin(), counts.end(), after.counts.begin(), after.counts.end()));
      const std::vector<uint8_t> active = recorded.Tensor<uint8_t>("active", step);
      for (int64_t j = 0; j < options.num_classes; ++j) {
        if (active[j] != 0) continue;
        ++pauses;
        EXPECT_EQ(after.counts[j], before.counts[j]);
        EXPECT_TRUE(std::equal(after.weights.begin() + j * options.dim, after.weights.begin() + (j + 1) * options.dim,
                               before.weights.begin() + j * options.dim));
      }
    }
    EXPECT_GT(pauses, 20);
  }
}

}  // namespace
}  // namespace arcshard::head
