#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ATen/TensorOperators.h"
#include "ATen/ops/equal.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/testing/training_cluster.h"
#include "worker/backbone/testing/small_conv_net.h"

// A run that resumes from a checkpoint equals the run that was never interrupted: bit for bit with the same numbers of
// shards and workers, and up to rounding with others.
namespace arcshard {
namespace {

using worker::NamedTensor;

constexpr uint64_t kSteps = 40;
constexpr uint64_t kStoppedAt = 17;  // of an epoch of 30 steps
constexpr double kLr = 0.01;

// Small, but with everything that a checkpoint could lose: momentum, dropout, running statistics, flips, several
// epochs.
RunConfig SmallRun() {
  RunConfig config;
  config.run.deterministic = true;
  config.data.format = "synthetic";
  config.data.synthetic_samples = 1448;  // 30 batches, and 8 samples that are dropped
  config.data.log_samples = true;
  config.data.image_size = 16;
  config.data.batch_size = 48;
  config.data.micro_batch_size = 8;  // six micro-batches: shares of 6, 3 and 2
  config.backbone.width = 4;
  config.backbone.embedding_size = 64;
  config.backbone.dropout = 0.2;
  config.head.classes = 301;
  config.head.scale = 32;
  config.loss.margin = "arcface";
  config.schedule.epochs = 3;
  return config;
}

struct Kind {
  std::string name;
  RunConfig config;
};

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds = {{"sgd", SmallRun()}, {"adamw_adaface_sampled", SmallRun()}, {"bfloat16_head", SmallRun()}};
  RunConfig& adamw = kinds[1].config;
  adamw.optimizer.kind = "adamw";
  adamw.loss.margin = "adaface";
  adamw.loss.m = 0.4;
  adamw.head.sample_rate = 0.3;
  RunConfig& bfloat16 = kinds[2].config;
  bfloat16.head.compute = "bfloat16";
  bfloat16.head.weights = "bfloat16";
  bfloat16.head.moments = "bfloat16";
  return kinds;
}

// The state of a run after its last step, and the samples that it took.
struct Result {
  std::vector<NamedTensor> worker;  // the same on every worker
  std::vector<float> class_centers;
  std::vector<std::vector<float>> moments;
  std::vector<uint32_t> counts;                           // of AdamW's steps
  std::map<uint64_t, std::vector<int64_t>> samples = {};  // by step, in the order of the batch
};

class ResumeTest : public testing::TestWithParam<Kind> {
 protected:
  ResumeTest() {
    std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    std::replace(name.begin(), name.end(), '/', '_');
    folder_ = absl::StrCat(testing::TempDir(), "/resume_test_", name);
    std::filesystem::remove_all(folder_);
    options_.config = GetParam().config;
    options_.backbone = [](const worker::BackboneOptions& options, size_t) {
      return std::make_unique<worker::SmallConvNet>(options);
    };
    options_.shards = 3;
    options_.workers = 2;
  }
  ~ResumeTest() override { std::filesystem::remove_all(folder_); }

  // Runs until step `last` in a folder of its own. checkpoint: takes one after step kStoppedAt.
  Result Run(const std::string& name, uint64_t last, bool checkpoint = false) {
    Result result;
    TrainingOptions options = options_;
    options.config.run.folder = absl::StrCat(folder_, "/", name);
    EXPECT_TRUE(CreateFolders(options.config.run.folder).ok());
    const absl::Status status = RunUntil(last, checkpoint, options, &result);
    EXPECT_TRUE(status.ok()) << status;
    return result;
  }

  void ResumeFromTheCheckpoint(size_t shards, size_t workers) {
    options_.shards = shards;
    options_.workers = workers;
    options_.incarnation = 2;
    options_.checkpoint = checkpoint_;
  }

  std::string folder_;
  TrainingOptions options_;
  std::string checkpoint_;  // folder of the checkpoint that was taken

 private:
  absl::Status RunUntil(uint64_t last, bool checkpoint, const TrainingOptions& options, Result* result) {
    ASSIGN_OR_RETURN(const std::unique_ptr<TrainingCluster> cluster, TrainingCluster::Start(options));
    if (checkpoint) {
      RETURN_IF_ERROR(cluster->Train(kStoppedAt - 1, kLr));
      RETURN_IF_ERROR(cluster->Compute(kStoppedAt).status());
      RETURN_IF_ERROR(cluster->Decide(kStoppedAt, Outcome::kCommit, kLr, /*checkpoint=*/true));
    }
    RETURN_IF_ERROR(cluster->Train(last, kLr));  // while the checkpoint is written
    if (checkpoint) {
      ASSIGN_OR_RETURN(checkpoint_, cluster->AwaitCheckpoint());
    }
    result->worker = cluster->State(0);
    for (size_t w = 1; w < options.workers; ++w) ExpectSameTensors(cluster->State(w), result->worker);
    result->class_centers = cluster->shards().Weights();
    result->moments.push_back(cluster->shards().Moment(0));
    if (options.config.optimizer.kind == "adamw") {
      result->moments.push_back(cluster->shards().Moment(1));
      result->counts = cluster->shards().Counts();
    }
    result->samples = SamplesIn(options.config.run.folder);
    return absl::OkStatus();
  }

  static std::map<uint64_t, std::vector<int64_t>> SamplesIn(const std::string& folder) {
    std::map<std::pair<uint64_t, uint32_t>, std::vector<int64_t>> micro_batches;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (!absl::StartsWith(entry.path().filename().string(), "samples-worker-")) continue;
      const std::string text = *ReadFile(entry.path().string());
      for (size_t begin = 0, end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
        const auto line = nlohmann::json::parse(text.substr(begin, end - begin));
        const bool is_new = micro_batches.emplace(std::pair(line["step"], line["micro_batch"]), line["samples"]).second;
        EXPECT_TRUE(is_new) << line;
      }
    }
    std::map<uint64_t, std::vector<int64_t>> steps;
    for (const auto& [key, samples] : micro_batches) {
      std::vector<int64_t>& all = steps[key.first];
      all.insert(all.end(), samples.begin(), samples.end());
    }
    return steps;
  }

 protected:
  static void ExpectSameTensors(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].name, b[i].name);
      EXPECT_TRUE(at::equal(a[i].tensor, b[i].tensor)) << a[i].name;
    }
  }
  static void ExpectSameBits(const Result& a, const Result& b) {
    ExpectSameTensors(a.worker, b.worker);
    EXPECT_EQ(a.class_centers, b.class_centers);
    EXPECT_EQ(a.moments, b.moments);
    EXPECT_EQ(a.counts, b.counts);
  }
};

TEST_P(ResumeTest, ARunThatGoesOnFromACheckpointIsBitForBitTheOneThatWasNotInterrupted) {
  const Result plain = Run("plain", kSteps);
  const Result with_checkpoint = Run("first_life", kSteps, /*checkpoint=*/true);
  {
    SCOPED_TRACE("taking a checkpoint changes nothing");
    ExpectSameBits(with_checkpoint, plain);
  }
  ResumeFromTheCheckpoint(3, 2);
  {
    SCOPED_TRACE("the restored state is the state after step 17");
    const Result restored = Run("nothing_yet", kStoppedAt);
    EXPECT_TRUE(restored.samples.empty());
    options_.checkpoint.clear();
    ExpectSameBits(restored, Run("until_17", kStoppedAt));
  }
  ResumeFromTheCheckpoint(3, 2);
  const Result resumed = Run("second_life", kSteps);
  ExpectSameBits(resumed, plain);
  ASSERT_EQ(plain.samples.size(), kSteps);
  ASSERT_EQ(resumed.samples.size(), kSteps - kStoppedAt);
  for (const auto& [step, samples] : resumed.samples) {
    EXPECT_EQ(samples, plain.samples.at(step)) << "step " << step;
    EXPECT_EQ(samples.size(), 48u);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ResumeTest, testing::ValuesIn(Kinds()),
                         [](const auto& kind) { return kind.param.name; });

// The largest difference as a share of the largest weight.
double Distance(const std::vector<float>& got, const std::vector<float>& reference) {
  double difference = 0, largest = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    difference = std::max(difference, std::abs(double{got[i]} - reference[i]));
    largest = std::max(largest, std::abs(double{reference[i]}));
  }
  return got.size() == reference.size() ? difference / largest : INFINITY;
}

bool IsStatistic(const std::string& name) { return absl::StrContains(name, "running_") || name == "loss.averages"; }
bool IsWeight(const std::string& name) {
  return !absl::StrContains(name, "moment") && name != "steps" && !IsStatistic(name);
}

// The worker's float32 tensors that `take` selects, in one row.
std::vector<float> ValuesOf(const Result& result, bool (*take)(const std::string&)) {
  std::vector<float> all;
  for (const NamedTensor& named : result.worker) {
    if (named.tensor.scalar_type() != at::kFloat || !take(named.name)) continue;
    const float* const values = named.tensor.const_data_ptr<float>();
    all.insert(all.end(), values, values + named.tensor.numel());
  }
  return all;
}

class ResumeElsewhereTest : public ResumeTest {};

TEST_P(ResumeElsewhereTest, OnOtherNumbersOfShardsAndWorkersOnlyRoundingDiffers) {
  constexpr double kRounding = 1e-6;
  const Result before = Run("before", kStoppedAt);
  const Result reference = Run("first_life", kStoppedAt + 1, /*checkpoint=*/true);
  EXPECT_GE(Distance(ValuesOf(reference, IsWeight), ValuesOf(before, IsWeight)), 100 * kRounding);
  EXPECT_GE(Distance(reference.class_centers, before.class_centers), 100 * kRounding);
  for (const auto& [shards, workers] : {std::pair<size_t, size_t>{2, 2}, {5, 2}, {3, 1}, {3, 3}, {2, 1}, {5, 3}}) {
    SCOPED_TRACE(absl::StrCat(shards, " shards, ", workers, " workers"));
    ResumeFromTheCheckpoint(shards, workers);
    const Result resumed = Run(absl::StrCat(shards, "_shards_", workers, "_workers"), kStoppedAt + 1);
    EXPECT_LE(Distance(ValuesOf(resumed, IsWeight), ValuesOf(reference, IsWeight)), kRounding);
    EXPECT_LE(Distance(ValuesOf(resumed, IsStatistic), ValuesOf(reference, IsStatistic)), kRounding);
    EXPECT_LE(Distance(resumed.class_centers, reference.class_centers), kRounding);
    EXPECT_EQ(resumed.samples.size(), 1u);
    EXPECT_EQ(resumed.samples.at(kStoppedAt + 1), reference.samples.at(kStoppedAt + 1));
  }
}

// Weights held in bfloat16 are rounded stochastically: a difference in float32 may become one of 2⁻⁸.
INSTANTIATE_TEST_SUITE_P(Kinds, ResumeElsewhereTest, testing::Values(Kinds()[0], Kinds()[1]),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace arcshard
