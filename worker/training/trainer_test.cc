#include "worker/training/trainer.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ops/equal.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/wire_type.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/backbone/testing/small_conv_net.h"
#include "worker/data/formats/synthetic_dataset.h"
#include "worker/training/run_backbone.h"
#include "worker/training/trainer_setup.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kClasses = 30;
constexpr uint64_t kSteps = 6;

// By micro-batch of a step: the embeddings that a shard received.
using Embeddings = std::map<uint32_t, std::vector<float>>;

// A shard of all classes that answers with a fixed function of what it gets. It may be lost instead.
class FakeShard final : public client::ShardLink {
 public:
  FakeShard(client::ShardLinkEvents* events, int64_t dim, Embeddings* received, std::optional<uint32_t> lost_at)
      : events_(events), dim_(dim), received_(received), lost_at_(lost_at) {}

  void SendLabels(const Key& key, absl::Span<const int64_t> labels) override {
    labels_[key.micro_batch] = {labels.begin(), labels.end()};
  }
  void SendEmbedding(const Key& key, absl::Span<const float> embedding) override {
    (*received_)[key.micro_batch] = {embedding.begin(), embedding.end()};
    if (lost_at_ == key.micro_batch) return events_->OnLost(0, absl::UnavailableError("connection reset"));
    const std::vector<int64_t>& labels = labels_.at(key.micro_batch);
    client::ShardStatistics answer;
    answer.z.assign(labels.size(), 1.5f);
    for (const float value : embedding) answer.u.push_back(0.25f * value);
    answer.own_centers.resize(labels.size() * dim_);
    for (uint32_t i = 0; i < labels.size(); ++i) {
      answer.own_rows.push_back(i);
      answer.own_centers[i * dim_ + labels[i] % dim_] = 1.0f;
    }
    events_->OnStatistics(0, key, &answer);
  }
  void SendGradient(const Key&, absl::Span<const float>, absl::Span<const float>) override {}

 private:
  client::ShardLinkEvents* const events_;
  const int64_t dim_;
  Embeddings* const received_;
  const std::optional<uint32_t> lost_at_;
  std::map<uint32_t, std::vector<int64_t>> labels_;  // by micro-batch
};

// Synthetic data of which one record is damaged.
class DamagedDataset final : public Dataset {
 public:
  static constexpr int64_t kDamaged = 3;
  absl::StatusOr<LabeledImage> Read(int64_t sample, int side, SampleBuffers* buffers) const override {
    if (sample == kDamaged) return absl::DataLossError("record 3: truncated");
    return whole_->Read(sample, side, buffers);
  }
  int64_t samples() const override { return whole_->samples(); }
  int64_t classes() const override { return whole_->classes(); }
  uint64_t fingerprint() const override { return whole_->fingerprint(); }
  std::string path() const override { return whole_->path(); }
  std::string NameOf(int64_t sample) const override { return whole_->NameOf(sample); }

 private:
  const std::unique_ptr<SyntheticDataset> whole_ = *SyntheticDataset::Create(48, kClasses, 1);
};

// One worker that trains against a FakeShard.
class Worker {
 public:
  explicit Worker(const Dataset& dataset, const char* wire = "float32") {
    // Everything that a voided step could leave behind: moments, dropout, running averages, flips.
    config_.data.image_size = 16;
    config_.data.batch_size = 16;
    config_.data.micro_batch_size = 4;
    config_.data.max_corrupt_share = 0.5;
    config_.backbone.width = 2;
    config_.backbone.embedding_size = 8;
    config_.backbone.dropout = 0.25;
    config_.head.scale = 16;
    config_.loss.margin = "adaface";
    config_.loss.m = 0.4;
    config_.optimizer.kind = "adamw";
    config_.schedule.epochs = 4;
    config_.cluster.max_in_flight = 2;
    config_.cluster.wire = wire;
    TrainerSetup setup{
        .config = &config_, .dataset = &dataset, .num_classes = kClasses, .clock = &clock_, .phases = &phases_};
    auto trainer = MakeTrainer(setup, std::make_unique<SmallConvNet>(BackboneOptionsOf(config_, kClasses)));
    EXPECT_TRUE(trainer.ok()) << trainer.status();
    trainer_ = *std::move(trainer);
    plan_ = *SamplePlanOf(config_, static_cast<uint64_t>(dataset.samples()));
    Enter();
  }

  // The next view. Its shard is lost at this micro-batch.
  void Enter(std::optional<uint32_t> lost_at = std::nullopt, std::function<absl::Status()> interruption = nullptr) {
    auto head = std::make_unique<client::HeadClient>(config_.backbone.embedding_size, &clock_);
    head->AddLink(0, std::make_unique<FakeShard>(head.get(), config_.backbone.embedding_size, &received_, lost_at));
    ViewSeat seat;
    seat.view.view = {1, ++counter_};
    seat.view.num_classes = kClasses;
    seat.view.workers = {{.id = 0, .rendezvous = ""}};
    seat.head = head.get();
    seat.all_reduce = &alone_;
    seat.interruption = std::move(interruption);
    trainer_->Enter(seat);
    head_ = std::move(head);
  }

  absl::StatusOr<StepVote> Compute(uint64_t step) {
    received_.clear();
    return trainer_->Compute(plan_->PlanOf(step));
  }
  absl::Status Apply(uint64_t step, Outcome outcome = Outcome::kCommit) {
    return trainer_->Apply({.view = {1, counter_}, .step = step, .outcome = outcome, .lr = 0.01, .next = {}});
  }
  absl::Status Train(uint64_t first, uint64_t last) {
    for (uint64_t step = first; step <= last; ++step) {
      RETURN_IF_ERROR(Compute(step).status());
      RETURN_IF_ERROR(Apply(step));
    }
    return absl::OkStatus();
  }

  const Embeddings& received() const { return received_; }  // in the last step
  FlatState State() { return Flatten(trainer_->state()); }

 private:
  RunConfig config_;
  const SystemClock clock_;
  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
  WorkerPhases phases_{&metrics_};
  Embeddings received_;
  AllReduce alone_{AllReduceOptions()};
  std::optional<SamplePlan> plan_;
  uint64_t counter_ = 0;
  std::unique_ptr<client::HeadClient> head_;
  std::unique_ptr<Trainer> trainer_;
};

void ExpectSame(const FlatState& got, const FlatState& want) {
  EXPECT_TRUE(at::equal(got.floats, want.floats));
  EXPECT_TRUE(at::equal(got.integers, want.integers));
}

class TrainerTest : public ::testing::Test {
 protected:
  const std::unique_ptr<SyntheticDataset> dataset_ = *SyntheticDataset::Create(48, kClasses, 1);
};

TEST_F(TrainerTest, AVoidedStepChangesNothingAndGivesTheSameBitsAgain) {
  Worker undisturbed(*dataset_), disturbed(*dataset_);
  for (uint64_t step = 1; step <= kSteps; ++step) {
    const FlatState before = disturbed.State();
    ASSERT_TRUE(disturbed.Compute(step).ok());
    const Embeddings first = disturbed.received();
    disturbed.Enter();
    ExpectSame(disturbed.State(), before);
    const auto again = disturbed.Compute(step), once = undisturbed.Compute(step);
    ASSERT_TRUE(again.ok() && once.ok()) << again.status() << once.status();
    EXPECT_EQ(disturbed.received(), first) << "the same samples, augmented and dropped alike";
    EXPECT_EQ(disturbed.received(), undisturbed.received());
    EXPECT_EQ(again->loss, once->loss);
    ASSERT_TRUE(disturbed.Apply(step).ok() && undisturbed.Apply(step).ok());
    ExpectSame(disturbed.State(), undisturbed.State());
  }
}

TEST_F(TrainerTest, AStepThatWasVoidedInTheMiddleLeavesNothingOfItsFirstMicroBatches) {
  Worker undisturbed(*dataset_), disturbed(*dataset_);
  ASSERT_TRUE(undisturbed.Train(1, kSteps).ok());
  for (uint64_t step = 1; step <= kSteps; ++step) {
    const FlatState before = disturbed.State();
    disturbed.Enter(/*lost_at=*/static_cast<uint32_t>(step % 4));
    const absl::Status status = disturbed.Compute(step).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()), HasSubstr("shard 0: connection reset"));
    EXPECT_EQ(disturbed.Apply(step).code(), absl::StatusCode::kFailedPrecondition);
    ExpectSame(disturbed.State(), before);
    disturbed.Enter();
    ASSERT_TRUE(disturbed.Train(step, step).ok());
  }
  ExpectSame(disturbed.State(), undisturbed.State());
}

TEST_F(TrainerTest, AnInterruptionEndsTheStepBeforeItsNextForwardPass) {
  Worker undisturbed(*dataset_), disturbed(*dataset_);
  ASSERT_TRUE(undisturbed.Train(1, 2).ok());
  ASSERT_TRUE(disturbed.Train(1, 1).ok());
  int asked = 0;
  disturbed.Enter(std::nullopt,
                  [&] { return ++asked < 3 ? absl::OkStatus() : absl::CancelledError("another view is queued"); });
  EXPECT_EQ(disturbed.Compute(2).status(), absl::CancelledError("another view is queued"));
  EXPECT_EQ(disturbed.received().size(), 2u) << "of four micro-batches";
  disturbed.Enter();
  ASSERT_TRUE(disturbed.Train(2, 2).ok());
  ExpectSame(disturbed.State(), undisturbed.State());
}

TEST_F(TrainerTest, WhatTravelsAsBfloat16IsRoundedOnceAndTheLossIsThatOfWhatWasSent) {
  Worker exact(*dataset_), rounded(*dataset_, "bfloat16");
  const auto of_exact = exact.Compute(1), of_rounded = rounded.Compute(1);
  ASSERT_TRUE(of_exact.ok() && of_rounded.ok()) << of_exact.status() << of_rounded.status();
  Embeddings expected = exact.received();
  for (auto& [micro_batch, embedding] : expected) RoundAsSent(WireType::kBfloat16, absl::MakeSpan(embedding));
  EXPECT_EQ(rounded.received(), expected);
  EXPECT_NE(rounded.received(), exact.received());
  EXPECT_NE(of_rounded->loss, of_exact->loss);
  EXPECT_NEAR(of_rounded->loss, of_exact->loss, 0x1p-7 * of_exact->loss);
}

TEST_F(TrainerTest, AResultCanBeAppliedUntilTheNextViewIsEntered) {
  Worker worker(*dataset_);
  ASSERT_TRUE(worker.Compute(1).ok());
  ASSERT_TRUE(worker.Apply(1).ok());
  EXPECT_EQ(worker.Apply(1).code(), absl::StatusCode::kFailedPrecondition) << "only once";
  ASSERT_TRUE(worker.Compute(2).ok());
  EXPECT_EQ(worker.Apply(1).code(), absl::StatusCode::kFailedPrecondition) << "it is of step 2";
  worker.Enter();
  EXPECT_EQ(worker.Apply(2).code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(TrainerTest, ASkippedStepChangesNothing) {
  Worker worker(*dataset_);
  ASSERT_TRUE(worker.Train(1, 2).ok());
  const FlatState before = worker.State();
  ASSERT_TRUE(worker.Compute(3).ok());
  ASSERT_TRUE(worker.Apply(3, Outcome::kSkip).ok());
  ExpectSame(worker.State(), before);
}

TEST_F(TrainerTest, ACorruptRecordCountsOnceInTheRunAlsoWhereItsStepIsComputedAgain) {
  const DamagedDataset damaged;
  Worker worker(damaged);
  uint64_t counted = 0;
  for (uint64_t step = 1; step <= kSteps; ++step) {  // two epochs of three steps
    const auto voided = worker.Compute(step);
    ASSERT_TRUE(voided.ok()) << voided.status();
    worker.Enter();
    const auto vote = worker.Compute(step);
    ASSERT_TRUE(vote.ok()) << vote.status();
    EXPECT_EQ(vote->corrupt_records, voided->corrupt_records) << "the first vote was never counted";
    counted += vote->corrupt_records;
    ASSERT_TRUE(worker.Apply(step).ok());
  }
  EXPECT_EQ(counted, 1u);
}

}  // namespace
}  // namespace arcshard::worker
