// For whom a shard says that it waits, and for how long.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr View kSecond{1, 3};
constexpr uint32_t kFirstWorker = 0, kLastWorker = 7;  // have micro-batches 0, 2, ··· and 1, 3, ···

void ExpectNobody(const ShardState& state) { EXPECT_FALSE(state.waiting().waits()); }
void ExpectCoordinator(const ShardState& state, double seconds = 0.0) {
  const Waiting waiting = state.waiting();
  EXPECT_TRUE(waiting.coordinator);
  EXPECT_THAT(waiting.workers, IsEmpty());
  EXPECT_THAT(waiting.shards, IsEmpty());
  EXPECT_FALSE(waiting.all_reduce);
  EXPECT_EQ(waiting.seconds, seconds);
}
// Requires that it waits for workers alone.
std::vector<uint32_t> WorkersAwaitedBy(const ShardState& state) {
  const Waiting waiting = state.waiting();
  EXPECT_FALSE(waiting.coordinator);
  EXPECT_FALSE(waiting.all_reduce);
  EXPECT_THAT(waiting.shards, IsEmpty());
  return waiting.workers;
}

TEST(WaitingTest, BeforeItsFirstViewAShardWaitsForNobody) {
  TestRun run;
  EXPECT_EQ(run.state.waiting(), Waiting{});
}

TEST(WaitingTest, WhoHasJoinedWaitsForTheCoordinator) {
  TestRun run;
  ASSERT_TRUE(run.state.JoinView(TestView(), &run.head).ok());
  ExpectNobody(run.state);  // there is work
  run.output.during_restore = [&run] { ExpectNobody(run.state); };
  run.RunAll();
  EXPECT_FALSE(run.output.during_restore);
  ExpectCoordinator(run.state);
  EXPECT_EQ(run.state.waiting().view, kView);
  run.head.clock.Advance(absl::Seconds(3));
  ExpectCoordinator(run.state, 3.0);
  ASSERT_TRUE(run.state.Install(InstallOf({NextAction::kEvaluate, {}})).ok());
  ExpectCoordinator(run.state);
  run.head.clock.Advance(absl::Seconds(2));
  ExpectCoordinator(run.state, 2.0);
  ASSERT_TRUE(run.state.Proceed(ProceedOf({NextAction::kStop, {}})).ok());
  ExpectCoordinator(run.state);
}

TEST(WaitingTest, AnOpenStepAwaitsTheWorkersThatOweAMessage) {
  auto run = TestRun::InStep1();
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kFirstWorker, kLastWorker));
  for (const uint32_t m : {0u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  for (const uint32_t m : {0u, 2u}) ASSERT_TRUE(run->SendEmbedding(1, m).ok());
  ExpectNobody(run->state);  // pass 1 is to be done
  run->head.during_forward = [&run] { ExpectNobody(run->state); };
  run->RunAll();
  EXPECT_FALSE(run->head.during_forward);
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kFirstWorker, kLastWorker)) << "gradients, and everything";
  ASSERT_TRUE(run->SendGradient(1, 0).ok());
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kFirstWorker, kLastWorker)) << "one of two gradients";
  ASSERT_TRUE(run->SendGradient(1, 2).ok());
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kLastWorker));
  ASSERT_TRUE(run->SendLabels(1, 1).ok());
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kLastWorker));
  ASSERT_TRUE(run->SendEmbedding(1, 1).ok());
  run->RunAll();
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kLastWorker));
  ASSERT_TRUE(run->SendGradient(1, 1).ok());
  ExpectNobody(run->state);  // the vote is to be cast
  run->RunAll();
  ExpectCoordinator(run->state);
}

TEST(WaitingTest, ADecisionLeadsToPass2AndThenToTheNextStepsMessages) {
  auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  run->head.clock.Advance(absl::Seconds(9));
  ExpectCoordinator(run->state, 9.0);
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  ExpectNobody(run->state);
  run->head.pass_2 = absl::Seconds(100);
  run->head.during_update = [&run] { ExpectNobody(run->state); };
  run->RunAll();
  EXPECT_FALSE(run->head.during_update);
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kFirstWorker, kLastWorker));
  EXPECT_EQ(run->state.waiting().seconds, 0.0) << "counted from the end of pass 2";
}

TEST(WaitingTest, TheSecondsCountFromTheLastMessage) {
  auto run = TestRun::InStep1();
  const auto seconds = [&run] { return run->state.waiting().seconds; };
  run->head.clock.Advance(absl::Seconds(5));
  EXPECT_EQ(seconds(), 5.0);
  ASSERT_TRUE(run->SendLabels(1, 0).ok());
  EXPECT_EQ(seconds(), 0.0);
  run->head.clock.Advance(absl::Seconds(4));
  EXPECT_FALSE(run->SendGradient(1, 0).ok());
  EXPECT_EQ(seconds(), 4.0) << "what is refused brings nothing forward";
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  run->RunAll();
  EXPECT_EQ(seconds(), 0.0);
  run->head.clock.Advance(absl::Seconds(3));
  ASSERT_TRUE(run->SendGradient(1, 0).ok());
  EXPECT_EQ(seconds(), 0.0);
}

// --- What a worker has sent may have to wait for another worker's, and then it owes nothing

TEST(WaitingTest, InDeterministicOrderTheFirstMicroBatchIsAwaitedWhoeverHasSentMore) {
  ShardState::Options options = TestRun::DefaultOptions();
  options.deterministic = true;
  auto run = TestRun::InStep1(options);
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  ASSERT_TRUE(run->SendEmbedding(1, 1).ok());
  run->RunAll();
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kFirstWorker));
  ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
  run->RunAll();
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kFirstWorker, kLastWorker));
}

TEST(WaitingTest, WhereClassesAreSampledTheLabelsOfAllAreAwaitedFirst) {
  auto run = TestRun::InStep1(TestRun::DefaultOptions(), /*sample_rate=*/0.5);
  for (const uint32_t m : {0u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  for (const uint32_t m : {0u, 2u}) ASSERT_TRUE(run->SendEmbedding(1, m).ok());
  run->RunAll();
  EXPECT_THAT(WorkersAwaitedBy(run->state), ElementsAre(kLastWorker));
}

// Five micro-batches of one sample: 0, 2 and 4 are the first worker's.
class ManyMicroBatchesTest : public testing::Test {
 protected:
  void Begin(uint32_t max_in_flight) {
    ShardState::Options options = TestRun::DefaultOptions();
    options.deterministic = true;
    options.max_in_flight = max_in_flight;
    run_ = std::make_unique<TestRun>(options);
    ASSERT_TRUE(run_->Enter(TestView(), {NextAction::kStep, {1, 0, 0, {1, 1, 1, 1, 1}}}).ok());
    for (uint32_t m = 0; m < 5; ++m) {
      ASSERT_TRUE(run_->state.Labels(WorkerOf(m), TestRun::KeyOf(1, m), std::vector<int64_t>{3}).ok());
    }
  }
  void SendEmbedding(uint32_t m) {
    ASSERT_TRUE(run_->SendEmbedding(TestRun::KeyOf(1, m), std::vector<float>(kDim, 1.0f)).ok());
    run_->RunAll();
  }
  void SendGradient(uint32_t m) {
    const std::vector<float> value = {1.0f};
    ASSERT_TRUE(run_->state.Gradient(WorkerOf(m), TestRun::KeyOf(1, m), value, value).ok());
    run_->RunAll();
  }
  std::vector<uint32_t> Awaited() const { return WorkersAwaitedBy(run_->state); }

  std::unique_ptr<TestRun> run_;
};

TEST_F(ManyMicroBatchesTest, AWorkerThatMaySendNoMoreBeforeItsStatisticsOwesNothing) {
  Begin(1);
  SendEmbedding(0);
  EXPECT_THAT(Awaited(), ElementsAre(kFirstWorker, kLastWorker)) << "the gradient of 0, and 1";
  SendGradient(0);
  SendEmbedding(2);
  EXPECT_THAT(Awaited(), ElementsAre(kLastWorker)) << "2 waits for 1, and 4 for the statistics of 2";
  SendEmbedding(1);
  EXPECT_THAT(Awaited(), ElementsAre(kFirstWorker, kLastWorker)) << "the gradients of 1 and 2";
  SendGradient(1);
  SendGradient(2);
  EXPECT_THAT(Awaited(), ElementsAre(kFirstWorker, kLastWorker)) << "3 and 4";
  SendEmbedding(4);
  EXPECT_THAT(Awaited(), ElementsAre(kLastWorker));
}

TEST_F(ManyMicroBatchesTest, AWorkerThatMaySendMoreOwesIt) {
  Begin(2);
  SendEmbedding(0);
  SendEmbedding(2);
  EXPECT_THAT(Awaited(), ElementsAre(kFirstWorker, kLastWorker)) << "the gradient of 0, and 1";
  SendGradient(0);
  EXPECT_THAT(Awaited(), ElementsAre(kFirstWorker, kLastWorker)) << "4 may come before the gradient of 2";
  SendEmbedding(4);
  EXPECT_THAT(Awaited(), ElementsAre(kLastWorker)) << "2 and 4 wait for 1";
}

// --- Other waits

TEST(WaitingTest, ARebuiltShardWaitsForThePeerWhoseLogItReplays) {
  auto peer = TestRun::InStep1(TestRun::OptionsWithLog(100));
  ASSERT_TRUE(peer->TakePart(2).ok());
  TestRun run(TestRun::OptionsWithLog(100));
  ASSERT_TRUE(run.state.JoinView(ViewAfter(kSecond, Commit(2)), &run.head).ok());
  run.RunAll();
  const auto waits_for = [&run](uint32_t shard, double seconds) {
    EXPECT_EQ(run.state.waiting(), (Waiting{.view = kSecond, .shards = {shard}, .seconds = seconds}));
  };
  waits_for(0, 0.0);
  run.head.clock.Advance(absl::Seconds(3));
  waits_for(0, 3.0);
  ASSERT_TRUE(run.state.Record(kSecond, peer->Records({}, 1).at(0)).ok());
  ExpectNobody(run.state);
  run.RunAll();
  waits_for(0, 0.0);
  run.state.ReplayEnded(kSecond, absl::UnavailableError("it died"));
  ExpectNobody(run.state);  // the next one is to be asked
  run.RunAll();
  waits_for(2, 0.0);
  run.state.ReplayEnded(kSecond, absl::UnavailableError("it died too"));
  run.RunAll();
  EXPECT_EQ(run.output.lost.size(), 1u);
  ExpectCoordinator(run.state);
}

TEST(WaitingTest, AVoteThatIsHeldBackWaitsForTheCoordinatorToSettleTheCheckpoint) {
  auto run = TestRun::InStep1(TestRun::OptionsWithLog(2));
  ASSERT_TRUE(run->SendStep(1).ok());
  Decision decision = Commit(1);
  decision.next.checkpoint = true;
  ASSERT_TRUE(run->state.Decide(Following({}, decision)).ok());
  run->RunAll();
  ASSERT_TRUE(run->TakePart(2).ok());
  ASSERT_TRUE(run->SendStep(3).ok());
  ASSERT_EQ(run->output.votes.size(), 2u);
  ExpectCoordinator(run->state);
}

TEST(WaitingTest, ANewViewVoidsWhatWasAwaited) {
  auto run = TestRun::InStep1();
  run->head.clock.Advance(absl::Seconds(8));
  ASSERT_TRUE(run->state.JoinView(ViewAfter(kSecond, Commit(1)), &run->head).ok());
  ExpectNobody(run->state);
  EXPECT_EQ(run->state.waiting().view, kSecond);
}

}  // namespace
}  // namespace arcshard::shard
