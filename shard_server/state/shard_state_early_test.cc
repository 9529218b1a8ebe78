// Messages that arrive before their step or their view, and concurrent threads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "shard_server/state/executor.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST(ShardStateEarlyTest, LabelsAndEmbeddingsOfTheNextStep_WaitForTheDecision) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->SendLabels(2, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(2, 0).ok());
  EXPECT_TRUE(run->SendEmbedding(2, 0).ok());  // a repeat takes no more room
  run->RunAll();
  EXPECT_THAT(run->output.sent, SizeIs(3));
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  EXPECT_EQ(run->output.sent.at(3), "worker 0 step 2 micro-batch 0");
  EXPECT_THAT(run->output.z, ElementsAre(7.0f, 7.0f));
}

TEST(ShardStateEarlyTest, MessagesOfAViewToCome_WaitForIt) {
  TestRun run;
  ASSERT_TRUE(run.SendLabels(1, 0).ok());
  ASSERT_TRUE(run.SendEmbedding(1, 0).ok());
  EXPECT_THAT(std::string(run.SendGradient(1, 0).message()), HasSubstr("before its statistics were sent"));
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  run.RunAll();
  EXPECT_THAT(run.output.sent, IsEmpty());
  ASSERT_TRUE(run.state.Install(InstallOf(PlanOf(1))).ok());
  run.RunAll();
  EXPECT_THAT(run.output.sent, ElementsAre("worker 0 step 1 micro-batch 0"));
}

TEST(ShardStateEarlyTest, AMessageOfANewerViewDoesNotTouchTheStepOfThisOne) {
  auto run = TestRun::InStep1();
  EXPECT_TRUE(run->SendLabels({{1, 3}, 1, 0}).ok());
  EXPECT_TRUE(run->SendEmbedding({{1, 3}, 1, 0}).ok());
  run->RunAll();
  EXPECT_THAT(run->head.group_sizes, IsEmpty());
  EXPECT_TRUE(run->SendStep(1).ok());
}

// Their worker may have a stream of the new view already, which a refusal would end.
TEST(ShardStateEarlyTest, WaitingMessagesOfAnOlderViewAreDroppedWhenTheViewComes) {
  TestRun run;
  ASSERT_TRUE(run.SendLabels({{1, 1}, 1, 0}).ok());
  ASSERT_TRUE(run.SendEmbedding({{1, 1}, 1, 0}).ok());
  EXPECT_EQ(run.state.load().early, 2u);
  ASSERT_TRUE(run.Enter(TestView(), PlanOf(1)).ok());
  run.RunAll();
  EXPECT_EQ(run.state.load().early, 0u);
  EXPECT_THAT(run.output.refused, IsEmpty());
}

TEST(ShardStateEarlyTest, AMessageOfAViewToComeAndOfAStepThatIsNotItsOwn_IsRefusedWhenThatViewsStepBegins) {
  auto run = TestRun::InStep1();
  const View next{1, 3};
  ASSERT_TRUE(run->SendLabels(TestRun::KeyOf(9, 2, next)).ok());  // the view might begin with step 9
  ASSERT_TRUE(run->SendLabels(TestRun::KeyOf(1, 0, next)).ok());
  ASSERT_TRUE(run->SendLabels(TestRun::KeyOf(2, 0, next)).ok());
  ASSERT_TRUE(run->Enter(RollbackTo(next, {}), PlanOf(1)).ok());
  run->RunAll();
  ASSERT_THAT(run->output.refused, SizeIs(1));
  EXPECT_EQ(run->output.refused[0].second.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(run->output.refused[0].second.message()), HasSubstr("step 9, micro-batch 2 is too early"));
  EXPECT_EQ(run->state.load().early, 1u);  // those of step 2
}

TEST(ShardStateEarlyTest, AWaitingMessageIsCheckedWhenItsStepBegins) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->state.Labels(7, TestRun::KeyOf(2, 0), LabelsOf(0)).ok());              // worker 0's
  ASSERT_TRUE(run->state.Labels(7, TestRun::KeyOf(2, 1), std::vector<int64_t>{1}).ok());  // too few
  ASSERT_TRUE(run->SendEmbedding(2, 2).ok());                                             // before its labels
  ASSERT_TRUE(run->SendStep(1).ok());
  EXPECT_THAT(run->output.refused, IsEmpty());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  run->RunAll();
  ASSERT_THAT(run->output.refused, SizeIs(3));
  EXPECT_EQ(run->output.refused[0].first, 7u);
  EXPECT_THAT(std::string(run->output.refused[0].second.message()), HasSubstr("it is worker 0's"));
  EXPECT_THAT(std::string(run->output.refused[1].second.message()), HasSubstr("has 1 samples, the step's plan says 2"));
  EXPECT_EQ(run->output.refused[2].first, 0u);
  EXPECT_THAT(std::string(run->output.refused[2].second.message()), HasSubstr("before its labels"));
}

TEST(ShardStateEarlyTest, ARepeatThatWaits_WithOtherBytes_IsAlreadyThere) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendLabels(2, 0).ok());
  EXPECT_TRUE(run->SendLabels(2, 0).ok());
  EXPECT_EQ(run->state.Labels(0, TestRun::KeyOf(2, 0), std::vector<int64_t>{4, 4}).code(),
            absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(run->SendEmbedding(2, 0).ok());
  EXPECT_EQ(run->SendEmbedding(TestRun::KeyOf(2, 0), std::vector<float>(6, 8.0f)).code(),
            absl::StatusCode::kAlreadyExists);
}

TEST(ShardStateEarlyTest, NoMoreWaitsThanAStepHolds) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->state.Labels(0, TestRun::KeyOf(2, 0), std::vector<int64_t>(4, 1)).ok());
  const absl::Status status = run->state.Labels(7, TestRun::KeyOf(2, 1), std::vector<int64_t>(2, 1));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("4 samples already wait, and 2 more exceed the 5 of a step"));
  EXPECT_TRUE(run->state.Labels(7, TestRun::KeyOf(2, 1), std::vector<int64_t>(1, 1)).ok());
  EXPECT_EQ(run->state.Labels(7, TestRun::KeyOf(2, 2), {}).code(), absl::StatusCode::kInvalidArgument);
}

TEST(ShardStateEarlyTest, NoMoreEmbeddingsOfAWorkerWaitThanMayBeInFlight) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendEmbedding(TestRun::KeyOf(2, 0), std::vector<float>(3)).ok());
  ASSERT_TRUE(run->SendEmbedding(TestRun::KeyOf(2, 2), std::vector<float>(3)).ok());
  EXPECT_EQ(run->SendEmbedding(TestRun::KeyOf(2, 4), std::vector<float>(3)).code(),
            absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(run->SendEmbedding(TestRun::KeyOf(2, 1), std::vector<float>(3)).ok());
}

// For the test with the workers, the coordinator and the executor of a run as threads, which TSan checks.
class ThreadedOutput final : public ShardOutput {
 public:
  void SendStatistics(uint32_t, const Key& key, const PartialStatistics& statistics) override {
    MutexLock lock(&mutex_);
    sum_z_ += statistics.z[0];
    statistics_of_[key.micro_batch] = key.step;
    changed_.NotifyAll();
  }
  void Refuse(uint32_t, const Key&, const absl::Status&) override { ++refused; }
  void VoteReady(const ReadyVote& vote) override {
    MutexLock lock(&mutex_);
    voted_ = vote.step;
    changed_.NotifyAll();
  }
  void TakeCheckpoint(const View&, uint64_t) override {}
  void Applied(uint64_t, Outcome) override { ++applied; }
  absl::Status RestoreBase(const ViewAnnouncement&) override { return absl::OkStatus(); }
  void RequestReplay(const ViewAnnouncement&, uint32_t, const StatePoint&, uint64_t) override { ADD_FAILURE(); }
  void Joined(const JoinedReport& report) override {
    MutexLock lock(&mutex_);
    joined_ = report.view;
    changed_.NotifyAll();
  }
  void LostPeers(const LostPeersReport&) override { ADD_FAILURE(); }

  void AwaitStatistics(uint64_t step, uint32_t micro_batch) {
    MutexLock lock(&mutex_);
    while (statistics_of_[micro_batch] < step) changed_.Wait(&mutex_);
  }
  void AwaitJoined(const View& view) {
    MutexLock lock(&mutex_);
    while (joined_ != view) changed_.Wait(&mutex_);
  }
  void AwaitVote(uint64_t step) {
    MutexLock lock(&mutex_);
    while (voted_ < step) changed_.Wait(&mutex_);
  }

  std::atomic<int> refused = 0;
  std::atomic<int> applied = 0;

 private:
  Mutex mutex_;
  CondVar changed_;
  View joined_ ABSL_GUARDED_BY(mutex_);
  uint64_t voted_ ABSL_GUARDED_BY(mutex_) = 0;
  double sum_z_ ABSL_GUARDED_BY(mutex_) = 0;
  std::array<uint64_t, 3> statistics_of_ ABSL_GUARDED_BY(mutex_) = {};
};

TEST(ShardStateThreadsTest, WorkersCoordinatorAndExecutorAtOnce_EveryStepIsAppliedOnce) {
  constexpr uint64_t kSteps = 200;
  ThreadedOutput output;
  FakeHead head;
  ShardState state(TestRun::DefaultOptions(), &output);
  absl::Status failure;
  Executor executor(&state, [&](const absl::Status& status) { failure = status; });
  std::atomic<uint64_t> decided =
      0;  // steps that the coordinator has decided; workers learn it before or after the shard
  std::atomic<int> rejected = 0;
  const auto check = [&](const absl::Status& status) {
    if (!status.ok()) ++rejected;
  };

  const auto work = [&](std::vector<uint32_t> micro_batches) {
    const uint32_t worker = WorkerOf(micro_batches[0]);
    for (uint64_t step = 1; step <= kSteps; ++step) {
      while (decided.load() < step) std::this_thread::yield();
      for (const uint32_t m : micro_batches) check(state.Labels(worker, TestRun::KeyOf(step, m), LabelsOf(m)));
      for (const uint32_t m : micro_batches) {
        const std::vector<float> e = EmbeddingOf(step, m);
        for (int i = 0; i < 2; ++i)
          check(state.Embedding(worker, TestRun::KeyOf(step, m), {e.data(), SizeOf(m), kDim}));
      }
      for (const uint32_t m : micro_batches) {
        output.AwaitStatistics(step, m);
        const std::vector<float> r(SizeOf(m), 1.0f), t(SizeOf(m), 0.0f);
        check(state.Gradient(worker, TestRun::KeyOf(step, m), r, t));
      }
    }
  };
  std::thread worker_0([&] { work({0, 2}); });
  std::thread worker_7([&] { work({1}); });
  check(state.JoinView(TestView(), &head));
  output.AwaitJoined(kView);
  decided = 1;
  check(state.Install(InstallOf(PlanOf(1))));
  StatePoint point;
  for (uint64_t step = 1; step <= kSteps; ++step) {
    output.AwaitVote(step);
    if (step % 2 == 0) decided = step + 1;  // in every other step the workers learn it first
    Decision decision = CommitOn(point);
    point = decision.after();
    if (step == kSteps) decision.next = {NextAction::kStop, {}};
    check(state.Decide(decision));
    decided = step + 1;
  }
  worker_0.join();
  worker_7.join();
  executor.Finish();

  EXPECT_TRUE(failure.ok()) << failure;
  EXPECT_EQ(rejected, 0);
  EXPECT_EQ(output.refused, 0);
  EXPECT_EQ(output.applied, static_cast<int>(kSteps));
  EXPECT_THAT(head.updates, SizeIs(kSteps));
  EXPECT_EQ(state.held().state, point);
}

TEST(ExecutorTest, AFailureOfTheHeadIsToldOnceAndEndsIt) {
  auto run = TestRun::InStep1();
  run->head.failure = absl::InternalError("the device is lost");
  ASSERT_TRUE(run->SendLabels(1, 0).ok());
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  int told = 0;
  Executor executor(&run->state, [&](const absl::Status&) { ++told; });
  executor.Finish();
  EXPECT_EQ(told, 1);
}

// As after a stop that a further view follows.
TEST(ExecutorTest, AnotherOneGoesOnWithTheStateOfOneThatHasFinished) {
  ThreadedOutput output;
  FakeHead head;
  ShardState state(TestRun::DefaultOptions(), &output);
  const auto fail = [](const absl::Status& status) { ADD_FAILURE() << status; };
  ASSERT_TRUE(state.JoinView(TestView(), &head).ok());
  Executor(&state, fail).Finish();
  ASSERT_TRUE(state.Install(InstallOf({NextAction::kStop, {}})).ok());
  ASSERT_TRUE(state.JoinView(RollbackTo({1, 3}, {}), &head).ok());
  Executor second(&state, fail);
  output.AwaitJoined({1, 3});
  second.Finish();
  EXPECT_TRUE(state.Install(InstallOf(PlanOf(1), {1, 3})).ok());
}

}  // namespace
}  // namespace arcshard::shard
