// A range that is rebuilt from another shard's log.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using Request = RecordingOutput::Request;
using Records = std::vector<std::shared_ptr<const ReplayRecord>>;

constexpr View kSecond{1, 3};
constexpr View kThird{1, 4};

void ExpectError(const absl::Status& status, absl::StatusCode code, const std::string& part) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(part));
}

std::unique_ptr<TestRun> WithLog(uint64_t steps) {
  auto run = TestRun::InStep1(TestRun::OptionsWithLog(100));
  EXPECT_TRUE(run->TakePart(steps).ok());
  return run;
}

// A shard with a log of five steps, and one that holds nothing and enters the next view.
class RebuildTest : public testing::Test {
 protected:
  void SetUp() override { records_ = peer_->Records({}, 5); }

  void Enter(TestRun& run, const ViewAnnouncement& view) {
    ASSERT_TRUE(run.state.JoinView(view, &run.head).ok());
    run.RunAll();
  }
  // The records of the steps after `after` up to `until`, as the peer sends them; then the replay ends.
  void Send(TestRun& run, uint64_t after, uint64_t until, const View& view = kSecond) {
    for (uint64_t step = after + 1; step <= until; ++step) {
      ASSERT_TRUE(run.state.Record(view, records_[step - 1]).ok());
    }
    run.state.ReplayEnded(view, absl::OkStatus());
    run.RunAll();
  }
  void ExpectRebuilt(TestRun& run, const View& view = kSecond) {
    EXPECT_EQ(run.head.state, peer_->head.state);
    EXPECT_FALSE(run.head.in_a_step);
    ASSERT_FALSE(run.output.joined.empty());
    EXPECT_EQ(run.output.joined.back().view, view);
    EXPECT_EQ(run.output.joined.back().state, PointAfter(5));
    EXPECT_TRUE(run.state.held().whole);
    EXPECT_EQ(run.state.held().state, PointAfter(5));
    EXPECT_EQ(run.state.held().last, Commit(5));
  }

  const std::unique_ptr<TestRun> peer_ = WithLog(5);
  Records records_;  // of steps 1 to 5
  TestRun run_{TestRun::OptionsWithLog(100)};
  const ViewAnnouncement view_ = ViewAfter(kSecond, Commit(5));
};

TEST_F(RebuildTest, ANewShardRestoresTheBaseAndReplaysTheLogOfTheFirstShardThatHasOne) {
  ASSERT_THAT(records_, SizeIs(5));
  Enter(run_, view_);
  EXPECT_THAT(run_.output.restored, ElementsAre(0u));
  EXPECT_THAT(run_.output.requests, ElementsAre(Request{kSecond, 0, {}, 5}));
  EXPECT_THAT(run_.output.joined, IsEmpty());
  Send(run_, 0, 5);
  ExpectRebuilt(run_);
  EXPECT_EQ(run_.output.joined[0].replayed_steps, 5u);
  EXPECT_THAT(run_.output.replayed, ElementsAre(1u, 2u, 3u, 4u, 5u));
  EXPECT_THAT(run_.output.applied, IsEmpty()) << "steps of the run that this process has not carried out";
  EXPECT_EQ(run_.state.load().replayed, 5u);

  ASSERT_TRUE(run_.state.Install(InstallOf(PlanOf(6), kSecond)).ok());
  ASSERT_TRUE(run_.SendStep(6, kSecond).ok());
  EXPECT_THAT(run_.output.votes, SizeIs(1));
  EXPECT_FALSE(run_.output.votes[0].log_is_dropped);
}

TEST_F(RebuildTest, NoPassOneIsComputed) {
  Enter(run_, view_);
  Send(run_, 0, 5);
  EXPECT_THAT(run_.head.group_sizes, IsEmpty());
  EXPECT_THAT(run_.head.begun, ElementsAre("step 1: ", "step 2: ", "step 3: ", "step 4: ", "step 5: "));
}

TEST_F(RebuildTest, WhereClassesAreSampled_AStepBeginsWithAllItsLabels) {
  run_.head.set_sample_rate(0.1);
  Enter(run_, view_);
  Send(run_, 0, 5);
  EXPECT_EQ(run_.head.begun.at(0), "step 1: 1 3 2 4 3");
}

TEST_F(RebuildTest, EachRecordIsReplayedWhenItComes) {
  Enter(run_, view_);
  ASSERT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
  run_.RunAll();
  EXPECT_THAT(run_.output.replayed, ElementsAre(1u));
  const HeldState held = run_.state.held();
  EXPECT_EQ(held.state, PointAfter(1));
  EXPECT_FALSE(held.whole);
  EXPECT_EQ(held.last, std::nullopt);
  EXPECT_EQ(held.view, kSecond);
}

TEST_F(RebuildTest, ItsLogThenHasEveryRecordAfterTheBase) {
  Enter(run_, view_);
  Send(run_, 0, 5);
  EXPECT_EQ(run_.state.held().log_base, StatePoint());
  EXPECT_EQ(run_.Records({}, 5), records_);
  TestRun third;
  Enter(third, view_);
  for (const auto& record : run_.Records({}, 5)) ASSERT_TRUE(third.state.Record(kSecond, record).ok());
  third.RunAll();
  EXPECT_EQ(third.head.state, peer_->head.state);
}

TEST_F(RebuildTest, ASkippedStepIsReplayedWithoutAnUpdate) {
  auto peer = WithLog(1);
  ASSERT_TRUE(peer->SendStep(2).ok());
  ASSERT_TRUE(peer->state.Decide(Skip(2)).ok());
  peer->RunAll();
  Enter(run_, ViewAfter(kSecond, Skip(2)));
  for (const auto& record : peer->Records({}, 2)) ASSERT_TRUE(run_.state.Record(kSecond, record).ok());
  run_.RunAll();
  EXPECT_EQ(run_.head.state, peer->head.state);
  EXPECT_THAT(run_.head.updates, ElementsAre("lr 0.5 | 1:0 2:1 3:2", "discard"));
  EXPECT_EQ(run_.output.joined.at(0).state, Skip(2).after());
}

TEST_F(RebuildTest, TheBaseMayBeACheckpoint) {
  run_.output.saved[3] = WithLog(3)->head.state;
  Enter(run_, ViewAfter(kSecond, Commit(5), PointAfter(3)));
  EXPECT_THAT(run_.output.restored, ElementsAre(3u));
  EXPECT_THAT(run_.output.requests, ElementsAre(Request{kSecond, 0, PointAfter(3), 5}));
  Send(run_, 3, 5);
  ExpectRebuilt(run_);
  EXPECT_EQ(run_.state.held().log_base, PointAfter(3));
}

TEST_F(RebuildTest, TheReportSaysHowLongItTook) {
  run_.output.during_restore = [&] { run_.head.clock.Advance(absl::Seconds(2)); };
  run_.head.pass_2 = absl::Seconds(1);
  Enter(run_, view_);
  Send(run_, 0, 5);
  EXPECT_EQ(run_.output.joined.at(0).rebuilt_in_seconds, 7.0);
}

// --- A shard that holds an earlier state

TEST_F(RebuildTest, AStateOnTheWayNeedsNoBase) {
  auto zombie = WithLog(3);
  Enter(*zombie, view_);
  EXPECT_THAT(zombie->output.restored, SizeIs(1)) << "by the first view";
  EXPECT_THAT(zombie->output.requests, ElementsAre(Request{kSecond, 0, PointAfter(3), 5}));
  Send(*zombie, 3, 5);
  ExpectRebuilt(*zombie);
  EXPECT_EQ(zombie->output.joined.back().replayed_steps, 2u);
  EXPECT_EQ(zombie->state.held().log_base, StatePoint()) << "its log has gone on without a gap";
  EXPECT_EQ(zombie->Records({}, 5).size(), 5u);
}

TEST_F(RebuildTest, AStateThatTheLogOfThePeerDoesNotPass_IsReplacedByTheBase) {
  auto zombie = WithLog(2);
  ASSERT_TRUE(zombie->SendStep(3).ok());
  ASSERT_TRUE(zombie->state.Decide(Skip(3)).ok());  // the others know of another decision
  zombie->RunAll();
  Enter(*zombie, view_);
  EXPECT_THAT(zombie->output.requests, ElementsAre(Request{kSecond, 0, Skip(3).after(), 5}));
  zombie->state.ReplayEnded(kSecond, peer_->state.RecordAfter(Skip(3).after()).status());
  zombie->RunAll();
  EXPECT_THAT(zombie->output.restored, ElementsAre(0u, 0u));
  ASSERT_THAT(zombie->output.requests, SizeIs(2));
  EXPECT_EQ(zombie->output.requests[1], (Request{kSecond, 0, {}, 5}));
  Send(*zombie, 0, 5);
  ExpectRebuilt(*zombie);
  EXPECT_EQ(zombie->state.held().log_base, StatePoint());
  EXPECT_EQ(zombie->Records({}, 5).size(), 5u);
}

TEST_F(RebuildTest, AStateBeforeTheBaseOrNotBeforeTheViewsIsReplacedByTheBaseAtOnce) {
  const uint64_t after_3 = WithLog(3)->head.state;
  for (const uint64_t step : {2, 5, 6}) {
    auto zombie = WithLog(step - 1);
    ASSERT_TRUE(zombie->SendStep(step).ok());
    ASSERT_TRUE(zombie->state.Decide(Skip(step)).ok());
    zombie->RunAll();
    zombie->output.saved[3] = after_3;
    Enter(*zombie, ViewAfter(kSecond, Commit(5), PointAfter(3)));
    EXPECT_THAT(zombie->output.restored, ElementsAre(0u, 3u));
    Send(*zombie, 3, 5);
    ExpectRebuilt(*zombie);
    EXPECT_EQ(zombie->state.held().log_base, PointAfter(3));
  }
}

// --- Records that are refused

TEST_F(RebuildTest, ARecordThatWasNotAskedForIsRefused) {
  const absl::StatusCode refused = absl::StatusCode::kFailedPrecondition;
  ExpectError(run_.state.Record(kSecond, records_[0]), refused, "shard 1 has not asked for it");
  ASSERT_TRUE(run_.state.JoinView(view_, &run_.head).ok());
  ExpectError(run_.state.Record(kSecond, records_[0]), refused, "shard 1 has not asked for it");
  run_.RunAll();
  ExpectError(run_.state.Record(kView, records_[0]), refused,
              "the record of step 1 came for view 1.2, but shard 1 has not asked for it");
  Send(run_, 0, 5);
  ExpectError(run_.state.Record(kSecond, records_[4]), refused, "shard 1 has not asked for it");
  ExpectRebuilt(run_);
}

TEST_F(RebuildTest, RecordsInAnotherOrderAreRefused) {
  Enter(run_, view_);
  ExpectError(run_.state.Record(kSecond, records_[1]), absl::StatusCode::kFailedPrecondition,
              "the record of step 2 came for view 1.3, but step 1 is next");
  ASSERT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
  ExpectError(run_.state.Record(kSecond, records_[0]), absl::StatusCode::kFailedPrecondition, "step 2 is next");
  for (uint64_t step = 2; step <= 5; ++step) ASSERT_TRUE(run_.state.Record(kSecond, records_[step - 1]).ok());
  const auto sixth = std::make_shared<ReplayRecord>(*records_[4]);
  sixth->plan.step = sixth->after.step = 6;
  ExpectError(run_.state.Record(kSecond, sixth), absl::StatusCode::kFailedPrecondition, "needs none after step 5");
  run_.RunAll();
  ExpectRebuilt(run_);
}

TEST_F(RebuildTest, ARecordWhoseLineageDoesNotFollowIsRefused) {
  Enter(run_, view_);
  const auto changed = std::make_shared<ReplayRecord>(*records_[0]);
  changed->lr = 0.25;
  ExpectError(run_.state.Record(kSecond, changed), absl::StatusCode::kFailedPrecondition,
              absl::StrCat("not to ", absl::Hex(PointAfter(1).lineage)));
  EXPECT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
}

TEST_F(RebuildTest, ALogThatLeadsToAnotherStateThanTheViewsIsRefused) {
  auto other = WithLog(1);
  ASSERT_TRUE(other->SendStep(2).ok());
  ASSERT_TRUE(other->state.Decide(Skip(2)).ok());
  Enter(run_, ViewAfter(kSecond, Commit(2)));
  const Records records = other->Records({}, 2);
  ASSERT_TRUE(run_.state.Record(kSecond, records.at(0)).ok());
  ExpectError(run_.state.Record(kSecond, records.at(1)), absl::StatusCode::kFailedPrecondition,
              "the view's state has the lineage");
  run_.RunAll();
  EXPECT_THAT(run_.output.joined, IsEmpty());
}

TEST_F(RebuildTest, ARecordThatIsIncompleteIsRefused) {
  Enter(run_, view_);
  const absl::StatusCode invalid = absl::StatusCode::kInvalidArgument;
  const auto refused = [&](const std::string& part, auto change) {
    const auto record = std::make_shared<ReplayRecord>(*records_[0]);
    change(*record);
    ExpectError(run_.state.Record(kSecond, record), invalid, part);
  };
  refused("is undecided", [](ReplayRecord& record) { record.outcome.reset(); });
  refused("leads to a state after step 7", [](ReplayRecord& record) { record.after.step = 7; });
  refused("has 2 micro-batches of 3", [](ReplayRecord& record) { record.micro_batches.pop_back(); });
  refused("inputs of micro-batch 1", [](ReplayRecord& record) { record.micro_batches[1].labels.pop_back(); });
  refused("inputs of micro-batch 2", [](ReplayRecord& record) { record.micro_batches[2].embedding.push_back(0); });
  refused("inputs of micro-batch 0", [](ReplayRecord& record) { record.micro_batches[0].r.clear(); });
  refused("inputs of micro-batch 0", [](ReplayRecord& record) { record.micro_batches[0].t.clear(); });
  refused("micro-batch 3", [](ReplayRecord& record) { record.groups[0].push_back(3); });
  refused("micro-batch 1", [](ReplayRecord& record) { record.groups.push_back({1}); });
  refused("groups of 2 micro-batches", [](ReplayRecord& record) { record.groups[0].pop_back(); });
  EXPECT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
}

// --- Peers that fail

TEST_F(RebuildTest, WhenAPeerFails_TheNextOneGoesOnWhereItStopped) {
  Enter(run_, view_);
  ASSERT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
  ASSERT_TRUE(run_.state.Record(kSecond, records_[1]).ok());
  run_.state.ReplayEnded(kSecond, absl::UnavailableError("it is gone"));
  run_.RunAll();
  EXPECT_THAT(run_.output.requests, ElementsAre(Request{kSecond, 0, {}, 5}, Request{kSecond, 2, PointAfter(2), 5}));
  EXPECT_THAT(run_.output.restored, SizeIs(1));
  Send(run_, 2, 5);
  ExpectRebuilt(run_);
  EXPECT_EQ(run_.output.joined[0].replayed_steps, 5u);
}

TEST_F(RebuildTest, APeerThatFailsAfterItsLastRecordHasDoneItsWork) {
  Enter(run_, view_);
  for (const auto& record : records_) ASSERT_TRUE(run_.state.Record(kSecond, record).ok());
  run_.state.ReplayEnded(kSecond, absl::UnavailableError("it is gone"));
  run_.RunAll();
  ExpectRebuilt(run_);
  EXPECT_THAT(run_.output.requests, SizeIs(1));
}

TEST_F(RebuildTest, APeerThatEndsTooEarlyHasFailed) {
  Enter(run_, view_);
  Send(run_, 0, 3);
  EXPECT_THAT(run_.output.requests, ElementsAre(Request{kSecond, 0, {}, 5}, Request{kSecond, 2, PointAfter(3), 5}));
  Send(run_, 3, 5);
  ExpectRebuilt(run_);
}

TEST_F(RebuildTest, WhenAllPeersHaveFailed_TheCoordinatorIsToldAndTheNextViewGoesOn) {
  Enter(run_, view_);
  ASSERT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
  run_.state.ReplayEnded(kSecond, absl::UnavailableError("it is gone"));
  run_.RunAll();
  EXPECT_THAT(run_.output.lost, IsEmpty());
  run_.state.ReplayEnded(kSecond, absl::NotFoundError("it has no such state"));
  run_.RunAll();
  // The second peer does not know the state after step 1. It is asked again, after the base.
  EXPECT_THAT(run_.output.restored, ElementsAre(0u, 0u));
  EXPECT_EQ(run_.output.requests.back(), (Request{kSecond, 2, {}, 5}));
  run_.state.ReplayEnded(kSecond, absl::NotFoundError("it has no log"));
  run_.RunAll();
  ASSERT_THAT(run_.output.lost, SizeIs(1));
  EXPECT_EQ(run_.output.lost[0].view, kSecond);
  EXPECT_THAT(run_.output.lost[0].shards, ElementsAre(0u, 2u));
  EXPECT_EQ(run_.output.lost[0].sentence,
            "shard 1 cannot rebuild its classes up to step 5, shard 0: it is gone, shard 2: it has no log");
  EXPECT_FALSE(run_.state.HasWork());

  ASSERT_TRUE(run_.state.JoinView(ViewAfter(kThird, Commit(5)), &run_.head).ok());
  run_.RunAll();
  EXPECT_EQ(run_.output.requests.back(), (Request{kThird, 0, {}, 5}));
  EXPECT_THAT(run_.output.restored, SizeIs(2)) << "the base is held";
  Send(run_, 0, 5, kThird);
  ExpectRebuilt(run_, kThird);
}

TEST_F(RebuildTest, WithoutAnyOtherLogTheCoordinatorIsToldAtOnce) {
  ViewAnnouncement view = view_;
  for (ShardMember& shard : view.shards) shard.has_log = shard.id == 1;  // its own does not count
  Enter(run_, view);
  EXPECT_THAT(run_.output.requests, IsEmpty());
  ASSERT_THAT(run_.output.lost, SizeIs(1));
  EXPECT_THAT(run_.output.lost[0].shards, IsEmpty());
  EXPECT_THAT(run_.output.lost[0].sentence, HasSubstr("no other shard has a replay log"));
}

// --- Further views

TEST_F(RebuildTest, ANewerViewInterruptsTheReplayAndWhatWasReachedCounts) {
  Enter(run_, view_);
  for (uint64_t step = 1; step <= 3; ++step) ASSERT_TRUE(run_.state.Record(kSecond, records_[step - 1]).ok());
  ASSERT_TRUE(run_.state.RunOne().ok());
  ASSERT_TRUE(run_.state.RunOne().ok());
  ASSERT_TRUE(run_.state.JoinView(ViewAfter(kThird, Commit(5)), &run_.head).ok());
  ExpectError(run_.state.Record(kSecond, records_[3]), absl::StatusCode::kFailedPrecondition, "has not asked for it");
  run_.state.ReplayEnded(kSecond, absl::CancelledError("another view"));
  run_.RunAll();
  EXPECT_THAT(run_.output.replayed, ElementsAre(1u, 2u));
  EXPECT_THAT(run_.output.restored, SizeIs(1));
  EXPECT_EQ(run_.output.requests.back(), (Request{kThird, 0, PointAfter(2), 5}));
  Send(run_, 2, 5, kThird);
  ExpectRebuilt(run_, kThird);
  ASSERT_THAT(run_.output.joined, SizeIs(1));
  EXPECT_EQ(run_.output.joined[0].replayed_steps, 5u) << "under both views";
  EXPECT_EQ(run_.Records({}, 5), records_);
}

TEST_F(RebuildTest, AViewDuringTheReplayOfAStep_IsEnteredAfterIt) {
  Enter(run_, view_);
  run_.head.during_update = [&] { ASSERT_TRUE(run_.state.JoinView(ViewAfter(kThird, Commit(5)), &run_.head).ok()); };
  ASSERT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
  ASSERT_TRUE(run_.state.Record(kSecond, records_[1]).ok());
  run_.RunAll();
  EXPECT_THAT(run_.output.replayed, ElementsAre(1u));
  EXPECT_EQ(run_.output.requests.back(), (Request{kThird, 0, PointAfter(1), 5}));
  Send(run_, 1, 5, kThird);
  ExpectRebuilt(run_, kThird);
}

TEST_F(RebuildTest, AnInterruptedReplayMayHaveReachedTheNextViewsState) {
  Enter(run_, view_);
  ASSERT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
  ASSERT_TRUE(run_.state.Record(kSecond, records_[1]).ok());
  run_.RunAll();
  ASSERT_TRUE(run_.state.JoinView(ViewAfter(kThird, Commit(2)), &run_.head).ok());
  run_.RunAll();
  ASSERT_THAT(run_.output.joined, SizeIs(1));
  EXPECT_EQ(run_.output.joined[0].state, PointAfter(2));
  EXPECT_EQ(run_.output.joined[0].replayed_steps, 2u);
  EXPECT_EQ(run_.state.held().last, Commit(2));
}

TEST_F(RebuildTest, ARollbackMayInterruptAReplay) {
  Enter(run_, view_);
  ASSERT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
  run_.RunAll();
  ASSERT_TRUE(run_.state.JoinView(RollbackTo(kThird, {}), &run_.head).ok());
  run_.RunAll();
  EXPECT_EQ(run_.head.state, 0u);
  EXPECT_EQ(run_.output.joined.at(0).state, StatePoint());
}

TEST_F(RebuildTest, ACheckpointThatIsSettledDuringAReplayMovesTheBaseOfTheLog) {
  Enter(run_, view_);
  for (uint64_t step = 1; step <= 3; ++step) ASSERT_TRUE(run_.state.Record(kSecond, records_[step - 1]).ok());
  run_.RunAll();
  run_.state.CheckpointSettled({PointAfter(2), true});
  EXPECT_EQ(run_.state.held().log_base, PointAfter(2));
  EXPECT_EQ(run_.state.held().state, PointAfter(3));
  run_.state.CheckpointSettled({PointAfter(4), true});  // not reached yet
  EXPECT_EQ(run_.state.held().log_base, PointAfter(2));
  for (uint64_t step = 4; step <= 5; ++step) ASSERT_TRUE(run_.state.Record(kSecond, records_[step - 1]).ok());
  run_.RunAll();
  ExpectRebuilt(run_);
  EXPECT_EQ(run_.Records(PointAfter(2), 5).size(), 3u);
}

TEST_F(RebuildTest, AnErrorOfTheHeadEndsTheWork) {
  Enter(run_, view_);
  run_.head.failure = absl::InternalError("the device is lost");
  ASSERT_TRUE(run_.state.Record(kSecond, records_[0]).ok());
  EXPECT_EQ(run_.state.RunOne().message(), "the device is lost");
}

TEST_F(RebuildTest, MessagesOfTheViewWaitUntilItIsRebuilt) {
  Enter(run_, view_);
  ASSERT_TRUE(run_.SendLabels(TestRun::KeyOf(6, 0, kSecond)).ok());
  ExpectError(run_.SendLabels(TestRun::KeyOf(1, 0, kSecond)), absl::StatusCode::kFailedPrecondition,
              "was decided already: step 5 was the last");
  Send(run_, 0, 5);
  ASSERT_TRUE(run_.state.Install(InstallOf(PlanOf(6), kSecond)).ok());
  EXPECT_EQ(run_.state.load().early, 0u);
  EXPECT_TRUE(run_.SendStep(6, kSecond).ok());
}

}  // namespace
}  // namespace arcshard::shard
