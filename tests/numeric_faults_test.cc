#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "ATen/TensorOperators.h"
#include "ATen/ops/equal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/testing/training_cluster.h"
#include "worker/backbone/testing/small_conv_net.h"

// A value that is not finite, anywhere, makes all processes skip the step, which then changes nothing.
namespace arcshard {
namespace {

using testing::HasSubstr;
using worker::Backbone;
using worker::BackboneOptions;
using worker::ForwardContext;

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr double kLr = 0.01;

enum class Fault { kEmbedding, kInfiniteEmbedding, kGradient };

// A backbone that fails in one micro-batch of one step.
class FaultyBackbone final : public Backbone {
 public:
  FaultyBackbone(std::unique_ptr<Backbone> real, Fault fault, uint64_t step, uint32_t micro_batch)
      : real_(std::move(real)), fault_(fault), step_(step), micro_batch_(micro_batch) {}

  absl::StatusOr<at::Tensor> Forward(const at::Tensor& images, const ForwardContext& context) override {
    auto embedding = real_->Forward(images, context);
    if (!embedding.ok() || context.step != step_ || context.micro_batch != micro_batch_) return embedding;
    switch (fault_) {
      case Fault::kEmbedding:
        return *embedding * kNaN;
      case Fault::kInfiniteEmbedding:
        return *embedding / 0.0;
      case Fault::kGradient:  // the embedding is right, its gradient is not
        embedding->register_hook([](const at::Tensor& gradient) { return gradient * kNaN; });
        return embedding;
    }
    return embedding;
  }
  const std::vector<worker::NamedTensor>& parameters() const override { return real_->parameters(); }
  const std::vector<worker::NamedTensor>& state_dict() const override { return real_->state_dict(); }
  worker::RunningStatistics& statistics() override { return real_->statistics(); }
  const BackboneOptions& options() const override { return real_->options(); }

 private:
  const std::unique_ptr<Backbone> real_;
  const Fault fault_;
  const uint64_t step_;
  const uint32_t micro_batch_;
};

class NumericFaults : public testing::Test {
 protected:
  static TrainingOptions Options() {
    TrainingOptions options{.config = {}, .shards = 3, .workers = 2, .transport = Transport::kGrpc, .backbone = {}};
    options.config.data.train = ARCSHARD_SOURCE_DIR "/examples/omniglot/data";
    options.config.data.image_size = 16;
    options.config.data.batch_size = 16;
    options.config.data.micro_batch_size = 4;
    options.config.backbone.width = 8;
    options.config.backbone.embedding_size = 16;
    options.config.head.scale = 32;
    options.config.run.deterministic = true;
    options.backbone = [](const BackboneOptions& backbone, size_t) {
      return std::make_unique<worker::SmallConvNet>(backbone);
    };
    return options;
  }
};

class NumericFaultsOfAStep : public NumericFaults,
                             public testing::WithParamInterface<std::tuple<Fault, std::string>> {};

TEST_P(NumericFaultsOfAStep, OneMicroBatchMakesTheStepASkipThatLeavesNoTrace) {
  const auto& [fault, blame] = GetParam();
  TrainingOptions options = Options();
  options.backbone = [fault = fault](const BackboneOptions& backbone,
                                     size_t) -> absl::StatusOr<std::unique_ptr<Backbone>> {
    return std::make_unique<FaultyBackbone>(std::make_unique<worker::SmallConvNet>(backbone), fault, /*step=*/2,
                                            /*micro_batch=*/3);
  };
  auto cluster = TrainingCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->Train(1, kLr).ok());
  const at::Tensor model = (*cluster)->Model(0);
  const at::Tensor class_centers = (*cluster)->ClassCenters();

  // Step 2: worker 1 computes micro-batch 3. All processes vote, none stops.
  const auto vote = (*cluster)->Compute(2);
  ASSERT_TRUE(vote.ok()) << vote.status();
  EXPECT_FALSE(vote->finite);
  EXPECT_THAT(vote->reason, HasSubstr(blame));
  ASSERT_TRUE((*cluster)->Decide(2, Outcome::kSkip, kLr).ok());
  EXPECT_TRUE(at::equal((*cluster)->Model(0), model));
  EXPECT_TRUE(at::equal((*cluster)->Model(1), model));
  EXPECT_TRUE(at::equal((*cluster)->ClassCenters(), class_centers));

  // Step 3 is the same as in a run that skipped a finite step 2.
  ASSERT_TRUE((*cluster)->Compute(3)->finite);
  ASSERT_TRUE((*cluster)->Decide(3, Outcome::kCommit, kLr).ok());
  auto healthy = TrainingCluster::Start(Options());
  ASSERT_TRUE(healthy.ok());
  ASSERT_TRUE((*healthy)->Train(1, kLr).ok());
  ASSERT_TRUE((*healthy)->Compute(2)->finite);
  ASSERT_TRUE((*healthy)->Decide(2, Outcome::kSkip, kLr).ok());
  ASSERT_TRUE((*healthy)->Compute(3)->finite);
  ASSERT_TRUE((*healthy)->Decide(3, Outcome::kCommit, kLr).ok());
  EXPECT_TRUE(at::equal((*cluster)->Model(0), (*healthy)->Model(0)));
  EXPECT_TRUE(at::equal((*cluster)->ClassCenters(), (*healthy)->ClassCenters()));
}

// With sampled classes and AdamW a skip could change more: the draw of the step, two moments, and each class's count of
// steps.
TEST_F(NumericFaults, ASkipLeavesSampledClassesMomentsAndCountsOfAdamWAsTheyWere) {
  TrainingOptions options = Options();
  options.config.head.sample_rate = 0.2;
  options.config.optimizer.kind = "adamw";
  options.backbone = [](const BackboneOptions& backbone, size_t) -> absl::StatusOr<std::unique_ptr<Backbone>> {
    return std::make_unique<FaultyBackbone>(std::make_unique<worker::SmallConvNet>(backbone), Fault::kEmbedding,
                                            /*step=*/2, /*micro_batch=*/3);
  };
  auto cluster = TrainingCluster::Start(options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  ASSERT_TRUE((*cluster)->Train(1, kLr).ok());
  ShardCluster& shards = (*cluster)->shards();
  const auto state = [&] { return std::tuple(shards.Weights(), shards.Moment(0), shards.Moment(1), shards.Counts()); };
  const auto before = state();
  const std::vector<uint32_t>& counts = std::get<3>(before);
  EXPECT_THAT(counts, testing::Contains(0u));
  EXPECT_THAT(counts, testing::Contains(1u));
  const at::Tensor model = (*cluster)->Model(0);

  EXPECT_FALSE((*cluster)->Compute(2)->finite);
  ASSERT_TRUE((*cluster)->Decide(2, Outcome::kSkip, kLr).ok());
  EXPECT_EQ(state(), before);
  EXPECT_TRUE(at::equal((*cluster)->Model(0), model));

  ASSERT_TRUE((*cluster)->Compute(3)->finite);
  ASSERT_TRUE((*cluster)->Decide(3, Outcome::kCommit, kLr).ok());
  EXPECT_NE(shards.Counts(), counts);
  EXPECT_THAT(shards.Counts(), testing::Each(testing::Le(2u)));
}

INSTANTIATE_TEST_SUITE_P(Faults, NumericFaultsOfAStep,
                         testing::Values(std::tuple{Fault::kEmbedding, "micro-batch 3 is not finite"},
                                         std::tuple{Fault::kInfiniteEmbedding, "micro-batch 3 is not finite"},
                                         std::tuple{Fault::kGradient, "gradient is not finite"}),
                         [](const auto& each) {
                           switch (std::get<0>(each.param)) {
                             case Fault::kEmbedding:
                               return "EmbeddingIsNaN";
                             case Fault::kInfiniteEmbedding:
                               return "EmbeddingIsInfinite";
                             default:
                               return "GradientIsNaN";
                           }
                         });

}  // namespace
}  // namespace arcshard
