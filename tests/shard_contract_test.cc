#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/shard_cluster.h"

// The promises of shard.proto to a worker, and to a shard that rebuilds its range: the same tests run in process and
// through gRPC, with tensors of float32 and of bfloat16.
namespace arcshard {
namespace {

using testing::HasSubstr;

constexpr int64_t kDim = 4;
constexpr uint64_t kSteps = 3;
const std::vector<uint32_t> kSizes = {3, 2};

// Keeps a shard's answers, and waits for them.
class Answers final : public client::ShardLinkEvents {
 public:
  void OnStatistics(size_t, const Key& key, client::ShardStatistics* statistics) override {
    MutexLock lock(&mutex_);
    ++count_[{key.step, key.micro_batch}];
    last_[{key.step, key.micro_batch}] = *statistics;
    changed_.NotifyAll();
  }
  void OnLost(size_t, const absl::Status& status) override {
    MutexLock lock(&mutex_);
    if (lost_.ok()) lost_ = status;
    changed_.NotifyAll();
  }

  // Waits until the statistics of a micro-batch have been received `times` times. Empty if the link was lost first.
  client::ShardStatistics Await(uint64_t step, uint32_t micro_batch, int times = 1) {
    MutexLock lock(&mutex_);
    while (count_[{step, micro_batch}] < times && lost_.ok()) changed_.Wait(&mutex_);
    return lost_.ok() ? last_[{step, micro_batch}] : client::ShardStatistics{};
  }
  int Count(uint64_t step, uint32_t micro_batch) {
    MutexLock lock(&mutex_);
    return count_[{step, micro_batch}];
  }
  absl::Status AwaitLost() {
    MutexLock lock(&mutex_);
    while (lost_.ok()) changed_.Wait(&mutex_);
    return lost_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::map<std::pair<uint64_t, uint32_t>, int> count_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<uint64_t, uint32_t>, client::ShardStatistics> last_ ABSL_GUARDED_BY(mutex_);
  absl::Status lost_ ABSL_GUARDED_BY(mutex_);
};

std::vector<int64_t> LabelsOf(uint64_t step, uint32_t m) {
  std::vector<int64_t> labels;
  for (uint32_t i = 0; i < kSizes[m]; ++i) labels.push_back(static_cast<int64_t>(3 * step + 5 * m + 2 * i) % 11);
  return labels;
}
// bfloat16 holds these values.
std::vector<float> EmbeddingOf(uint64_t step, uint32_t m) {
  std::vector<float> values;
  for (uint32_t i = 0; i < kSizes[m] * kDim; ++i)
    values.push_back(static_cast<float>((7 * i + 3 * m + step) % 5) - 1.5f);
  return values;
}

struct Connection {
  Transport transport;
  WireType wire;
};
std::string NameOf(const Connection& connection) {
  return absl::StrCat(connection.transport == Transport::kGrpc ? "Grpc" : "InProcess",
                      connection.wire == WireType::kBfloat16 ? "Bfloat16" : "");
}

// Two shards, of classes [0, 4) and [4, 11), the links of a worker, and the answers. The tests are about the second
// shard.
class ShardContract : public testing::TestWithParam<Connection> {
 protected:
  void SetUp() override { Begin(); }

  static ShardClusterOptions Options() {
    ShardClusterOptions options;
    options.ranges = {{0, 4}, {4, 11}};
    options.head.dim = kDim;
    options.head.scale = 16;
    options.batch_size = 5;
    options.max_in_flight = 2;
    return options;
  }

  void Begin(ShardClusterOptions options = Options()) {
    CloseLinks();
    options.wire = GetParam().wire;
    auto cluster = ShardCluster::Start(options, GetParam().transport);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    OpenLinks();
    Install(1);
  }

  void CloseLinks() {
    link_.reset();
    link0_.reset();
  }
  // Opens links in the newest view, whose answers are counted anew.
  void OpenLinks() {
    CloseLinks();
    answers_ = std::make_unique<Answers>();
    answers0_ = std::make_unique<Answers>();
    auto link0 = cluster_->Link(0, 0, answers0_.get());
    auto link = cluster_->Link(0, 1, answers_.get());
    ASSERT_TRUE(link0.ok() && link.ok());
    link0_ = *std::move(link0);
    link_ = *std::move(link);
  }

  Key KeyOf(uint64_t step, uint32_t m) const { return {cluster_->view().view, step, m}; }
  static Next PlanOf(uint64_t step) { return {NextAction::kStep, {step, 0, 5 * (step - 1), kSizes}}; }

  void Install(uint64_t step) {
    const absl::Status status = cluster_->Install(PlanOf(step));
    ASSERT_TRUE(status.ok()) << status;
  }
  Decision DecisionOf(uint64_t step, Outcome outcome) const {
    return {cluster_->view().view, step, outcome, 0.1, PlanOf(step + 1)};
  }
  void Decide(uint64_t step, Outcome outcome) {
    const absl::Status status = cluster_->Decide(DecisionOf(step, outcome));
    ASSERT_TRUE(status.ok()) << status;
  }
  // Announces a view that begins with `step`, and opens links in it.
  void EnterView(const View& view, uint64_t step) {
    CloseLinks();
    const absl::Status status = cluster_->Announce(view);
    ASSERT_TRUE(status.ok()) << status;
    OpenLinks();
    Install(step);
  }

  enum class Kind { kLabels, kEmbedding, kGradient };
  void Send(client::ShardLink& link, Kind kind, uint64_t step, uint32_t m) {
    switch (kind) {
      case Kind::kLabels:
        return link.SendLabels(KeyOf(step, m), LabelsOf(step, m));
      case Kind::kEmbedding:
        return link.SendEmbedding(KeyOf(step, m), EmbeddingOf(step, m));
      case Kind::kGradient: {
        const std::vector<float> r(kSizes[m], 1e-24f * static_cast<float>(step)), t(kSizes[m], -0.3f);
        return link.SendGradient(KeyOf(step, m), r, t);
      }
    }
  }

  using Times = std::function<int(Kind, uint64_t, uint32_t)>;
  static int Once(Kind, uint64_t, uint32_t) { return 1; }

  // Sends every message of a step `times(kind, step, micro-batch)` times to shard 1, once to shard 0, and waits for the
  // votes.
  void Compute(uint64_t step, const Times& times = Once) {
    for (const Kind kind : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
      for (uint32_t m = 0; m < kSizes.size(); ++m) {
        Send(*link0_, kind, step, m);
        if (kind == Kind::kEmbedding) answers0_->Await(step, m);
        const int count = times(kind, step, m);
        for (int i = 1; i <= count; ++i) {
          Send(*link_, kind, step, m);
          if (kind == Kind::kEmbedding) answers_->Await(step, m, i);
        }
      }
    }
    // The answer to one more repeat shows that everything sent before it was received. A repeat that arrived after the
    // decision would be refused.
    const int answered = answers_->Count(step, 0);
    Send(*link_, Kind::kEmbedding, step, 0);
    answers_->Await(step, 0, answered + 1);
    EXPECT_TRUE(cluster_->AwaitVote(step).finite);
  }
  void ComputeAndDecide(uint64_t step, Outcome outcome = Outcome::kCommit) {
    Compute(step);
    Decide(step, outcome);
    cluster_->AwaitApplied(step);
  }
  // The same for kSteps steps, which are committed. Returns the final weights.
  std::vector<float> Train(const Times& times) {
    for (uint64_t step = 1; step <= kSteps; ++step) {
      Compute(step, times);
      Decide(step, Outcome::kCommit);
      cluster_->AwaitApplied(step);
    }
    return cluster_->Weights();
  }
  std::vector<float> Undisturbed() {
    const std::vector<float> weights = Train(Once);
    Begin();
    return weights;
  }
  // All that the shards hold of every class.
  static std::vector<float> Held(const ShardCluster& cluster) {
    std::vector<float> held = cluster.Weights();
    for (const std::vector<float>& moment : {cluster.Moment(0), cluster.Moment(1)}) {
      held.insert(held.end(), moment.begin(), moment.end());
    }
    for (const uint32_t count : cluster.Counts()) held.push_back(static_cast<float>(count));
    return held;
  }

  std::unique_ptr<ShardCluster> cluster_;
  std::unique_ptr<Answers> answers0_, answers_;  // of shard 0 and shard 1
  std::unique_ptr<client::ShardLink> link0_, link_;
};

TEST_P(ShardContract, StatisticsAreOfTheShardsOwnClasses) {
  Send(*link_, Kind::kLabels, 1, 0);  // labels 3, 5, 7: the last two are of this shard
  Send(*link_, Kind::kEmbedding, 1, 0);
  const client::ShardStatistics statistics = answers_->Await(1, 0);
  EXPECT_EQ(statistics.z.size(), 3u);
  EXPECT_EQ(statistics.u.size(), 3u * kDim);
  EXPECT_EQ(statistics.own_rows, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(statistics.own_centers.size(), 2u * kDim);
}

TEST_P(ShardContract, StatisticsHaveThePrecisionOfTheWire) {
  Send(*link_, Kind::kLabels, 1, 0);
  Send(*link_, Kind::kEmbedding, 1, 0);
  const client::ShardStatistics statistics = answers_->Await(1, 0);
  for (const std::vector<float>* values : {&statistics.u, &statistics.own_centers}) {
    std::vector<float> rounded = *values;
    RoundAsSent(WireType::kBfloat16, absl::MakeSpan(rounded));
    EXPECT_EQ(rounded == *values, GetParam().wire == WireType::kBfloat16);
  }
  std::vector<float> z = statistics.z;
  RoundAsSent(WireType::kBfloat16, absl::MakeSpan(z));
  EXPECT_NE(z, statistics.z) << "sums are float32 in any case";
}

// A worker repeats a message if the message or its answer was lost. In the second case the shard receives it twice.
TEST_P(ShardContract, AMessageThatComesTwiceCountsOnce) {
  const std::vector<float> undisturbed = Undisturbed();
  for (const Kind kind : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
    for (uint32_t m = 0; m < kSizes.size(); ++m) {
      Begin();
      const std::vector<float> repeated =
          Train([&](Kind k, uint64_t step, uint32_t b) { return k == kind && step == 2 && b == m ? 2 : 1; });
      EXPECT_EQ(repeated, undisturbed) << "message kind " << static_cast<int>(kind) << " of micro-batch " << m;
    }
  }
}

TEST_P(ShardContract, AnEmbeddingThatComesTwiceAtOnceIsAnswered) {
  Send(*link_, Kind::kLabels, 1, 0);
  Send(*link_, Kind::kEmbedding, 1, 0);
  Send(*link_, Kind::kEmbedding, 1, 0);
  EXPECT_EQ(answers_->Await(1, 0).z.size(), kSizes[0]);
}

// When a stream breaks, the worker cannot tell which messages arrived. It opens another one and repeats everything that
// it has sent of the undecided step.
TEST_P(ShardContract, AWorkerThatLostItsLinkAnywhereContinuesOverAnotherOne) {
  const std::vector<float> undisturbed = Undisturbed();
  for (const Kind broken : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
    Begin();
    const std::vector<float> weights = Train([&](Kind kind, uint64_t step, uint32_t m) {
      if (kind == broken && step == 2 && m == 1) {
        Send(*link_, kind, step, m);
        link_.reset();
        auto link = cluster_->Link(0, 1, answers_.get());
        EXPECT_TRUE(link.ok()) << link.status();
        link_ = *std::move(link);
        for (const Kind sent : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
          if (sent > kind) break;
          for (uint32_t again = 0; again < kSizes.size(); ++again) {
            if (sent == kind && again >= m) break;
            const int answered = answers_->Count(step, again);
            Send(*link_, sent, step, again);
            if (sent == Kind::kEmbedding) answers_->Await(step, again, answered + 1);
          }
        }
      }
      return 1;
    });
    EXPECT_EQ(weights, undisturbed) << "message kind " << static_cast<int>(broken);
  }
}

TEST_P(ShardContract, AnEmbeddingThatComesTwiceIsAnsweredTwiceWithTheSameBits) {
  Send(*link_, Kind::kLabels, 1, 0);
  Send(*link_, Kind::kEmbedding, 1, 0);
  const client::ShardStatistics first = answers_->Await(1, 0, 1);
  Send(*link_, Kind::kEmbedding, 1, 0);
  const client::ShardStatistics second = answers_->Await(1, 0, 2);
  EXPECT_EQ(first.z, second.z);
  EXPECT_EQ(first.u, second.u);
  EXPECT_EQ(first.own_rows, second.own_rows);
  EXPECT_EQ(first.own_centers, second.own_centers);
}

TEST_P(ShardContract, ARepeatWithOtherBytesIsRefused) {
  Send(*link_, Kind::kLabels, 1, 0);
  Send(*link_, Kind::kEmbedding, 1, 0);
  answers_->Await(1, 0);
  link_->SendEmbedding(KeyOf(1, 0), std::vector<float>(kSizes[0] * kDim, 1.0f));
  EXPECT_EQ(answers_->AwaitLost().code(), absl::StatusCode::kAlreadyExists);
}

TEST_P(ShardContract, AnOlderViewIsRefusedByName) {
  Key key = KeyOf(1, 0);
  key.view = {0, 9};
  link_->SendLabels(key, LabelsOf(1, 0));
  const absl::Status status = answers_->AwaitLost();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("view 0.9"));
}

TEST_P(ShardContract, AStepThatWasDecidedIsRefused) {
  Train(Once);
  Send(*link_, Kind::kGradient, 1, 0);
  EXPECT_EQ(answers_->AwaitLost().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_P(ShardContract, ALabelBeyondTheLastClassIsRefused) {
  link_->SendLabels(KeyOf(1, 0), {3, 5, 11});
  const absl::Status status = answers_->AwaitLost();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("11"));
}

TEST_P(ShardContract, AMicroBatchOfAWrongSizeIsRefused) {
  link_->SendLabels(KeyOf(1, 0), {3, 5});
  EXPECT_EQ(answers_->AwaitLost().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(ShardContract, AMicroBatchThatIsNotInThePlanIsRefused) {
  link_->SendLabels(KeyOf(1, 7), {3, 5});
  EXPECT_EQ(answers_->AwaitLost().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(ShardContract, MessagesOfTheNextStepWaitForTheDecision) {
  // A worker that has received the decision already may be ahead of this shard.
  for (uint32_t m = 0; m < kSizes.size(); ++m) {
    for (const Kind kind : {Kind::kLabels, Kind::kEmbedding}) {
      Send(*link_, kind, 1, m);
      Send(*link0_, kind, 1, m);
    }
    answers_->Await(1, m);
    answers0_->Await(1, m);
    Send(*link_, Kind::kGradient, 1, m);
    Send(*link0_, Kind::kGradient, 1, m);
  }
  EXPECT_TRUE(cluster_->AwaitVote(1).finite);
  Send(*link_, Kind::kLabels, 2, 0);
  Send(*link_, Kind::kEmbedding, 2, 0);
  Decide(1, Outcome::kCommit);
  EXPECT_EQ(answers_->Await(2, 0).z.size(), kSizes[0]);
}

TEST_P(ShardContract, ASampledStepIsTheSameInWhateverOrderLabelsCome) {
  using Message = std::pair<Kind, uint32_t>;
  const Message labels[] = {{Kind::kLabels, 0}, {Kind::kLabels, 1}};
  const Message embedding[] = {{Kind::kEmbedding, 0}, {Kind::kEmbedding, 1}};
  const std::vector<std::vector<Message>> orders = {
      {labels[0], labels[1], embedding[0], embedding[1]},
      {labels[1], labels[0], embedding[1], embedding[0]},
      {labels[0], embedding[0], labels[1], embedding[1]},  // pass 1 has to wait for the late labels
      {labels[1], embedding[1], labels[0], embedding[0]},
      {labels[0], labels[0], embedding[0], embedding[0], labels[1], labels[1], embedding[1]}};
  ShardClusterOptions options = Options();
  options.head.sample_rate = 0.1;
  std::vector<std::vector<float>> z, u, weights;
  for (const std::vector<Message>& order : orders) {
    Begin(options);
    const std::vector<float> before = cluster_->Weights();
    for (const auto& [kind, m] : order) {
      Send(*link_, kind, 1, m);
      Send(*link0_, kind, 1, m);
    }
    for (uint32_t m = 0; m < kSizes.size(); ++m) {
      answers0_->Await(1, m);
      const client::ShardStatistics statistics = answers_->Await(1, m);
      z.push_back(statistics.z);
      u.push_back(statistics.u);
    }
    for (uint32_t m = 0; m < kSizes.size(); ++m) {
      Send(*link_, Kind::kGradient, 1, m);
      Send(*link0_, Kind::kGradient, 1, m);
    }
    EXPECT_TRUE(cluster_->AwaitVote(1).finite);
    Decide(1, Outcome::kCommit);
    cluster_->AwaitApplied(1);
    weights.push_back(cluster_->Weights());
    EXPECT_EQ(weights.back(), weights.front());
    // The labels of step 1 are 3, 5, 7, 8 and 10. Some of the other classes are not drawn and keep their centers.
    int64_t moved = 0;
    for (int64_t j = 0; j < 11; ++j) {
      moved += !std::equal(&before[j * kDim], &before[j * kDim] + kDim, &weights.back()[j * kDim]);
    }
    EXPECT_GE(moved, 5);
    EXPECT_LT(moved, 11);
  }
  EXPECT_EQ(z.size(), 2 * orders.size());
  for (size_t i = 2; i < z.size(); ++i) {
    EXPECT_EQ(z[i], z[i % 2]);
    EXPECT_EQ(u[i], u[i % 2]);
  }
}

TEST_P(ShardContract, ASampledStepWaitsForTheLabelsOfAnotherWorker) {
  ShardClusterOptions options = Options();
  options.workers = 2;
  options.head.sample_rate = 0.1;
  Begin(options);
  Answers others;  // of worker 1, which owns micro-batch 1
  auto link = cluster_->Link(1, 1, &others);
  ASSERT_TRUE(link.ok()) << link.status();
  Send(*link_, Kind::kLabels, 1, 0);
  Send(*link_, Kind::kEmbedding, 1, 0);
  EXPECT_EQ(answers_->Count(1, 0), 0);
  Send(**link, Kind::kLabels, 1, 1);  // its embedding may arrive much later
  EXPECT_EQ(answers_->Await(1, 0).z.size(), kSizes[0]);
  Send(**link, Kind::kEmbedding, 1, 1);
  EXPECT_EQ(others.Await(1, 1).z.size(), kSizes[1]);
  link->reset();
}

TEST_P(ShardContract, ASkippedStepLeavesTheWeights) {
  const std::vector<float> before = cluster_->Weights();
  for (const Kind kind : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
    for (uint32_t m = 0; m < kSizes.size(); ++m) {
      Send(*link_, kind, 1, m);
      Send(*link0_, kind, 1, m);
      if (kind == Kind::kEmbedding) {
        answers_->Await(1, m);
        answers0_->Await(1, m);
      }
    }
  }
  EXPECT_TRUE(cluster_->AwaitVote(1).finite);
  Decide(1, Outcome::kSkip);
  cluster_->AwaitApplied(1);
  EXPECT_EQ(cluster_->Weights(), before);
}

// --- Views

TEST_P(ShardContract, AViewVoidsTheStepThatIsNotDecidedAndItIsComputedAgain) {
  const std::vector<float> undisturbed = Undisturbed();
  for (const Kind reached : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
    Begin();
    ComputeAndDecide(1);
    for (const Kind kind : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
      if (kind > reached) break;
      for (uint32_t m = 0; m < kSizes.size(); ++m) {
        // Other bytes than the step will have.
        if (kind == Kind::kEmbedding) {
          link_->SendEmbedding(KeyOf(2, m), std::vector<float>(kSizes[m] * kDim, 0.75f));
          answers_->Await(2, m);
        } else {
          Send(*link_, kind, 2, m);
        }
      }
    }
    EnterView({1, 2}, 2);
    ComputeAndDecide(2);
    ComputeAndDecide(3);
    EXPECT_EQ(cluster_->Weights(), undisturbed) << "message kind " << static_cast<int>(reached);
  }
}

TEST_P(ShardContract, AStepThatWasVotedOnIsVoidToo) {
  const std::vector<float> undisturbed = Undisturbed();
  ComputeAndDecide(1);
  Compute(2);
  EnterView({1, 2}, 2);
  EXPECT_EQ(cluster_->JoinedAs(1).replayed_steps, 0u);
  ComputeAndDecide(2);
  ComputeAndDecide(3);
  EXPECT_EQ(cluster_->Weights(), undisturbed);
}

TEST_P(ShardContract, ADecisionThatOnlyOneShardReceivedIsAppliedByAllIfTheViewNamesIt) {
  const std::vector<float> undisturbed = Undisturbed();
  for (const size_t informed : {0, 1}) {
    Begin();
    ComputeAndDecide(1);
    Compute(2);
    ASSERT_TRUE(cluster_->DecideAt(informed, DecisionOf(2, Outcome::kCommit)).ok());
    EnterView({1, 2}, 3);
    for (const size_t shard : {0, 1}) EXPECT_EQ(cluster_->JoinedAs(shard).replayed_steps, 0u);
    ComputeAndDecide(3);
    EXPECT_EQ(cluster_->Weights(), undisturbed);
  }
}

TEST_P(ShardContract, MessagesOfAViewBeforeAreRefusedByName) {
  ComputeAndDecide(1);
  const Key old = KeyOf(2, 0);
  EnterView({1, 2}, 2);
  link_->SendLabels(old, LabelsOf(2, 0));
  const absl::Status status = answers_->AwaitLost();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("view 1.1"));
}

TEST_P(ShardContract, MessagesOfAViewToComeWaitForItsFirstStep) {
  ComputeAndDecide(1);
  Compute(2);  // the answers show that what is sent now comes before the view
  const Key early = {{1, 2}, 2, 0};
  link_->SendLabels(early, LabelsOf(2, 0));
  link_->SendEmbedding(early, EmbeddingOf(2, 0));
  const int answered = answers_->Count(2, 0);
  Send(*link_, Kind::kEmbedding, 2, 0);
  answers_->Await(2, 0, answered + 1);
  ASSERT_TRUE(cluster_->Announce({1, 2}).ok());
  Install(2);
  EXPECT_EQ(answers_->Await(2, 0, answered + 2).z.size(), kSizes[0]);
}

// --- A range that is rebuilt

TEST_P(ShardContract, ARestartedShardRebuildsItsRangeFromTheLogOfAnother) {
  ShardClusterOptions plain = Options();
  ShardClusterOptions adamw = Options();
  adamw.head.optimizer = head::AdamWOptions();
  adamw.head.weights = adamw.head.moments = head::DataType::kBfloat16;
  adamw.head.sample_rate = 0.3;
  for (const ShardClusterOptions& options : {plain, adamw}) {
    for (const size_t lost : {0, 1}) {
      Begin(options);
      ComputeAndDecide(1);
      ComputeAndDecide(2, Outcome::kSkip);
      ComputeAndDecide(3);
      const std::vector<float> held = Held(*cluster_);
      CloseLinks();
      ASSERT_TRUE(cluster_->Restart(lost).ok());
      EXPECT_NE(Held(*cluster_), held);
      EnterView({1, 2}, 4);
      EXPECT_EQ(Held(*cluster_), held);
      EXPECT_EQ(cluster_->JoinedAs(lost).replayed_steps, 3u);
      EXPECT_EQ(cluster_->JoinedAs(lost).state, cluster_->state());
      EXPECT_EQ(cluster_->JoinedAs(1 - lost).replayed_steps, 0u);
      ComputeAndDecide(4);
      const std::vector<float> after = Held(*cluster_);

      Begin(options);
      ComputeAndDecide(1);
      ComputeAndDecide(2, Outcome::kSkip);
      ComputeAndDecide(3);
      ComputeAndDecide(4);
      EXPECT_EQ(Held(*cluster_), after) << "shard " << lost;
    }
  }
}

TEST_P(ShardContract, ARebuildBeginsAtTheLastCheckpoint) {
  ShardClusterOptions options = Options();
  options.run_folder = absl::StrCat(testing::TempDir(), "/shard_contract_", ::getpid(), "_", NameOf(GetParam()));
  Begin(options);
  ComputeAndDecide(1);
  Compute(2);
  Decision decision = DecisionOf(2, Outcome::kCommit);
  decision.next.checkpoint = true;
  ASSERT_TRUE(cluster_->Decide(decision).ok());
  const auto reports = cluster_->AwaitCheckpoint(2);
  ASSERT_TRUE(reports.ok()) << reports.status();
  Manifest manifest;
  manifest.step = 2;
  manifest.lineage = cluster_->state().lineage;
  manifest.incarnation = 1;
  manifest.num_classes = 11;
  manifest.embedding_size = kDim;
  for (const CheckpointReport& report : *reports) {
    ASSERT_TRUE(report.status.ok()) << report.status;
    manifest.files.insert(manifest.files.end(), report.files.begin(), report.files.end());
  }
  const std::string folder = CheckpointFolder(options.run_folder, {2, 1, 1});
  ASSERT_TRUE(WriteManifest(RealFileSystem(), folder, manifest).ok());
  cluster_->SetBase(cluster_->state(), folder);
  ComputeAndDecide(3);
  const std::vector<float> held = Held(*cluster_);
  CloseLinks();
  ASSERT_TRUE(cluster_->Restart(1).ok());
  EnterView({1, 2}, 4);
  EXPECT_EQ(cluster_->JoinedAs(1).replayed_steps, 1u);
  EXPECT_EQ(Held(*cluster_), held);
  std::filesystem::remove_all(options.run_folder);
}

TEST_P(ShardContract, WhoWasRebuiltCanRebuildTheOther) {
  ComputeAndDecide(1);
  ComputeAndDecide(2);
  CloseLinks();
  ASSERT_TRUE(cluster_->Restart(1).ok());
  EnterView({1, 2}, 3);
  ComputeAndDecide(3);
  const std::vector<float> held = Held(*cluster_);
  CloseLinks();
  ASSERT_TRUE(cluster_->Restart(0).ok());
  EnterView({1, 3}, 4);
  EXPECT_EQ(cluster_->JoinedAs(0).replayed_steps, 3u);
  EXPECT_EQ(Held(*cluster_), held);
}

TEST_P(ShardContract, ADecisionThatTheViewNamesReachesTheRebuiltShardByTheLog) {
  const std::vector<float> undisturbed = Undisturbed();
  ComputeAndDecide(1);
  Compute(2);
  ASSERT_TRUE(cluster_->DecideAt(1, DecisionOf(2, Outcome::kCommit)).ok());  // and shard 1 dies
  CloseLinks();
  ASSERT_TRUE(cluster_->Restart(1).ok());
  EnterView({1, 2}, 3);
  EXPECT_EQ(cluster_->JoinedAs(1).replayed_steps, 2u);
  ComputeAndDecide(3);
  EXPECT_EQ(cluster_->Weights(), undisturbed);
}

INSTANTIATE_TEST_SUITE_P(All, ShardContract,
                         testing::Values(Connection{Transport::kInProcess, WireType::kFloat32},
                                         Connection{Transport::kGrpc, WireType::kFloat32},
                                         Connection{Transport::kGrpc, WireType::kBfloat16}),
                         [](const auto& each) { return NameOf(each.param); });

}  // namespace
}  // namespace arcshard
