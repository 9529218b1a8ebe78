#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/shard_cluster.h"

// The promises of shard.proto to a worker: the same tests run in process and through gRPC.
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
std::vector<float> EmbeddingOf(uint64_t step, uint32_t m) {
  std::vector<float> values;
  for (uint32_t i = 0; i < kSizes[m] * kDim; ++i)
    values.push_back(static_cast<float>((7 * i + 3 * m + step) % 5) - 1.5f);
  return values;
}

// Two shards, of classes [0, 4) and [4, 11), the links of a worker, and the answers. The tests are about the second
// shard.
class ShardContract : public testing::TestWithParam<Transport> {
 protected:
  void SetUp() override { Begin(GetParam()); }

  static ShardClusterOptions Options() {
    ShardClusterOptions options;
    options.ranges = {{0, 4}, {4, 11}};
    options.head.dim = kDim;
    options.head.scale = 16;
    options.batch_size = 5;
    options.max_in_flight = 2;
    return options;
  }

  void Begin(Transport transport, const ShardClusterOptions& options = Options()) {
    link_.reset();
    link0_.reset();
    auto cluster = ShardCluster::Start(options, transport);
    ASSERT_TRUE(cluster.ok()) << cluster.status();
    cluster_ = *std::move(cluster);
    answers_ = std::make_unique<Answers>();
    answers0_ = std::make_unique<Answers>();
    auto link0 = cluster_->Link(0, 0, answers0_.get());
    auto link = cluster_->Link(0, 1, answers_.get());
    ASSERT_TRUE(link0.ok() && link.ok());
    link0_ = *std::move(link0);
    link_ = *std::move(link);
    Decide(0, Outcome::kCommit);
  }

  Key KeyOf(uint64_t step, uint32_t m) const { return {cluster_->view().view, step, m, 0}; }

  void Decide(uint64_t step, Outcome outcome) {
    const absl::Status status = cluster_->Decide(
        {cluster_->view().view, step, outcome, 0.1, {NextAction::kStep, {step + 1, 0, 5 * step, kSizes}}});
    ASSERT_TRUE(status.ok()) << status;
  }

  enum class Kind { kLabels, kEmbedding, kGradient };
  void Send(client::ShardLink& link, Kind kind, uint64_t step, uint32_t m) {
    switch (kind) {
      case Kind::kLabels:
        return link.SendLabels(KeyOf(step, m), LabelsOf(step, m));
      case Kind::kEmbedding:
        return link.SendEmbedding(KeyOf(step, m), EmbeddingOf(step, m));
      case Kind::kGradient: {
        const std::vector<float> r(kSizes[m], 1e-9f * static_cast<float>(step)), t(kSizes[m], -0.3f);
        return link.SendGradient(KeyOf(step, m), r, t);
      }
    }
  }

  // Sends every message of kSteps steps `times(kind, step, micro-batch)` times to shard 1, once to shard 0. Returns
  // the final weights.
  std::vector<float> Train(const std::function<int(Kind, uint64_t, uint32_t)>& times) {
    for (uint64_t step = 1; step <= kSteps; ++step) {
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
      // The answer to one more repeat shows that everything sent before it was received. A repeat that arrived after
      // the decision would be refused.
      const int answered = answers_->Count(step, 0);
      Send(*link_, Kind::kEmbedding, step, 0);
      answers_->Await(step, 0, answered + 1);
      EXPECT_TRUE(cluster_->AwaitVote(step).finite);
      Decide(step, Outcome::kCommit);
      cluster_->AwaitApplied(step);
    }
    return cluster_->Weights();
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

// A worker repeats a message if the message or its answer was lost. In the second case the shard receives it twice.
TEST_P(ShardContract, AMessageThatComesTwiceCountsOnce) {
  const std::vector<float> undisturbed = Train([](Kind, uint64_t, uint32_t) { return 1; });
  for (const Kind kind : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
    for (uint32_t m = 0; m < kSizes.size(); ++m) {
      Begin(GetParam());
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
  const std::vector<float> undisturbed = Train([](Kind, uint64_t, uint32_t) { return 1; });
  for (const Kind broken : {Kind::kLabels, Kind::kEmbedding, Kind::kGradient}) {
    Begin(GetParam());
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
  Train([](Kind, uint64_t, uint32_t) { return 1; });
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
    Begin(GetParam(), options);
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
  Begin(GetParam(), options);
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

INSTANTIATE_TEST_SUITE_P(Both, ShardContract, testing::Values(Transport::kInProcess, Transport::kGrpc),
                         [](const auto& each) { return each.param == Transport::kGrpc ? "Grpc" : "InProcess"; });

}  // namespace
}  // namespace arcshard
