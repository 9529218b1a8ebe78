#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/failure_details.h"
#include "coordinator/run/testing/run_test_fixture.h"
#include "gmock/gmock.h"

// How a run fails: refused messages, failures, timeouts. Each ends with one sentence. No death is among them
// (run_recovery_test.cc).
namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class RunFailureTest : public RunTest {
 protected:
  // All streams but `except` were closed with the sentence, as Aborted.
  void ExpectAllAborted(Connection except = 0) {
    for (const Connection connection : Everybody()) {
      if (connection == except) continue;
      ASSERT_TRUE(outbox_.closed.contains(connection)) << connection;
      EXPECT_EQ(outbox_.closed.at(connection), absl::AbortedError(Sentence())) << connection;
    }
    EXPECT_EQ(LastProgress().phase, Phase::kFailed);
    EXPECT_EQ(LastProgress().waiting_for, Sentence());
  }
  void ExpectRefused(Connection connection, absl::StatusCode code, const std::string& part) {
    ASSERT_TRUE(outbox_.closed.contains(connection));
    EXPECT_EQ(outbox_.closed.at(connection).code(), code);
    EXPECT_THAT(std::string(outbox_.closed.at(connection).message()), HasSubstr(part));
  }
};

TEST_F(RunFailureTest, FirstMessageThatIsNotRegisterIsRefusedAndHarmsNobody) {
  run().Receive(99, HeartbeatReport{});
  ExpectRefused(99, absl::StatusCode::kInvalidArgument, "must be Register");
  EXPECT_FALSE(run().result().has_value());
}

TEST_F(RunFailureTest, RegistrationsThatCannotJoinAreRefusedAndHarmNobody) {
  Registration of_the_future = RegistrationOf(kShard0);
  of_the_future.held = HeldState{.view = {8, 1}, .range_ends = {}, .workers = {}};
  run().Receive(90, of_the_future);  // it may come again, once it reaches the other one
  ExpectRefused(90, absl::StatusCode::kUnavailable, "has followed a later start of the coordinator, view 8.1");

  Registration nowhere = RegistrationOf(kShard0);
  nowhere.address.clear();
  run().Receive(91, nowhere);
  ExpectRefused(91, absl::StatusCode::kInvalidArgument, "shard (pid 1010 on h) gives no address");

  RegisterAll();
  run().Receive(92, RegistrationOf(kShard0));
  ExpectRefused(92, absl::StatusCode::kFailedPrecondition, "has all its 2 shards (cluster.shards)");
  run().Receive(93, RegistrationOf(kWorker0));
  ExpectRefused(93, absl::StatusCode::kFailedPrecondition, "has all its 2 workers (cluster.workers)");

  ReportData();
  Join();
  run().Receive(94, RegistrationOf(kWorker0));
  ExpectRefused(94, absl::StatusCode::kFailedPrecondition, "has all its 2 workers (cluster.workers)");
  Vote(1);
  EXPECT_EQ(LastDecision().step, 1u);
}

TEST_F(RunFailureTest, RegistrationAfterTheEndIsToldWhyItEnded) {
  Begin();
  run().Receive(kShard1, FailureReport{"no memory", static_cast<int>(absl::StatusCode::kResourceExhausted)});
  run().Receive(99, RegistrationOf(kWorker0));
  ExpectRefused(99, absl::StatusCode::kAborted, "shard 1 (pid 1011 on h): no memory");
}

TEST_F(RunFailureTest, WhoseDataDisagreesIsRefusedAndBothWorkersAreNamed) {
  RegisterAll();
  run().Receive(kWorker0, DatasetReport{100, 9, 42});
  run().Receive(kWorker1, DatasetReport{101, 9, 42});
  ExpectRefused(kWorker1, absl::StatusCode::kInvalidArgument, "number of samples");
  EXPECT_FALSE(run().result().has_value());
  LetPass(absl::Seconds(60));
  EXPECT_THAT(Sentence(), HasSubstr("still waiting for 1 of 2 workers; worker 1 (pid 1021 on h) left before the run "
                                    "began: the workers' data sets under data.train differ"));
  EXPECT_THAT(Sentence(), HasSubstr("worker 0 (pid 1020 on h) has 100, worker 1 (pid 1021 on h) has 101"));
}

TEST_F(RunFailureTest, RangesThatDoNotFitEndItForEverybodyWithTheFigures) {
  options_.config.head.classes = 10'000'000;
  RegisterAll();
  ReportData();
  EXPECT_EQ(run().result()->code(), absl::StatusCode::kResourceExhausted);
  for (const Connection connection : Everybody()) {
    ExpectRefused(connection, absl::StatusCode::kResourceExhausted, "shard 0 would hold classes [0, 5000000)");
  }
}

TEST_F(RunFailureTest, ABatchLargerThanTheDataEndsIt) {
  options_.config.data.batch_size = 128;
  RegisterAll();
  ReportData();
  EXPECT_THAT(Sentence(), HasSubstr("data.batch_size is 128, but data.train has only 100 samples"));
}

TEST_F(RunFailureTest, FewerConfiguredClassesThanTheDataHasEndIt) {
  options_.config.head.classes = 8;
  RegisterAll();
  ReportData();
  EXPECT_THAT(Sentence(), HasSubstr("head.classes is 8"));
}

TEST_F(RunFailureTest, GatheringGivesUpAfterTheConnectTimeoutAndSaysForWhomItWaited) {
  run().Receive(kShard0, RegistrationOf(kShard0));
  run().Receive(kWorker0, RegistrationOf(kWorker0));
  LetPass(absl::Seconds(59));
  EXPECT_FALSE(run().result().has_value());
  LetPass(absl::Seconds(1));
  EXPECT_EQ(run().result()->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(Sentence(),
            "gave up after 1m (cluster.connect_timeout), still waiting for 1 of 2 shards and 1 of 2 workers");
  EXPECT_EQ(outbox_.closed.at(kWorker0), absl::AbortedError(Sentence()));
}

TEST_F(RunFailureTest, ALongReadOfTheDataIsNotLimitedByTheConnectTimeout) {
  RegisterAll();
  LetPass(absl::Minutes(5));
  EXPECT_FALSE(run().result().has_value());
}

// --- While the run gathers, strangers and participants that restart do no harm

class GatheringTest : public RunFailureTest {
 protected:
  // All places but worker 1's are taken.
  void SetUp() override {
    for (const Connection connection : {kShard0, kShard1, kWorker0})
      run().Receive(connection, RegistrationOf(connection));
    run().Receive(kWorker0, DatasetReport{100, 9, 42});
  }
  // The real worker 1 comes and the run begins.
  void ExpectItBegins() {
    EXPECT_FALSE(run().result().has_value()) << Sentence();
    EXPECT_EQ(LastProgress().waiting_for, "waiting for 1 of 2 workers");
    run().Receive(kWorker1, RegistrationOf(kWorker1));
    ASSERT_EQ(Received<Welcome>(kWorker1).size(), 1u);
    EXPECT_EQ(Received<Welcome>(kWorker1)[0].id, 1u);
    run().Receive(kWorker1, DatasetReport{100, 9, 42});
    EXPECT_EQ(LastProgress().phase, Phase::kJoining);
  }
  static constexpr Connection kStranger = 77;
};

TEST_F(GatheringTest, WhoRegistersAndHangsUpLeavesItsPlace) {
  for (Connection stranger = kStranger; stranger < kStranger + 3; ++stranger) {
    run().Receive(stranger, RegistrationOf(kWorker1));
    run().Disconnected(stranger, "stream broken");
  }
  EXPECT_THAT(sink_.came_or_went.back(),
              HasSubstr("worker 1 (pid 1021 on h) left before the run began: stream broken; its place is free again"));
  ExpectItBegins();
}

TEST_F(GatheringTest, AMessageThatCannotBeReadCostsOnlyItsSenderThePlace) {
  run().Receive(kStranger, RegistrationOf(kWorker1));
  run().Refuse(kStranger, absl::InvalidArgumentError("a participant's message is empty"));
  ExpectRefused(kStranger, absl::StatusCode::kInvalidArgument, "is empty");
  ExpectItBegins();
}

TEST_F(GatheringTest, ADataSetThatCannotBeCostsOnlyItsSenderThePlace) {
  const std::vector<DatasetReport> impossible = {
      {~uint64_t{0}, 9, 42}, {0, 9, 42}, {100, -1, 42}, {100, int64_t{1} << 62, 42}, {(uint64_t{1} << 40) + 1, 9, 42}};
  Connection stranger = kStranger;
  for (const DatasetReport& report : impossible) {
    run().Receive(++stranger, RegistrationOf(kWorker1));
    run().Receive(stranger, report);
    ExpectRefused(stranger, absl::StatusCode::kInvalidArgument, "reports a data set of ");
  }
  ExpectItBegins();
}

TEST_F(GatheringTest, WhoFallsSilentLosesItsPlace) {
  run().Receive(kStranger, RegistrationOf(kWorker1));
  LetPass(absl::Seconds(9), kStranger);
  ExpectRefused(kStranger, absl::StatusCode::kUnavailable, "no sign of life for 8.5s");
  ExpectItBegins();
}

TEST_F(GatheringTest, WhoIsStoppedLosesItsPlace) {
  run().Receive(kStranger, RegistrationOf(kWorker1));
  run().Receive(kStranger, FailureReport{"stopped by signal 15", static_cast<int>(absl::StatusCode::kCancelled)});
  ExpectItBegins();
}

TEST_F(GatheringTest, AFailureOfItsOwnEndsItWithTheReason) {
  run().Receive(kStranger, RegistrationOf(kWorker1));
  run().Receive(kStranger, FailureReport{"data/train: no such folder", static_cast<int>(absl::StatusCode::kNotFound)});
  EXPECT_EQ(Sentence(), "worker 1 (pid 1021 on h): data/train: no such folder");
}

TEST_F(GatheringTest, WhoCannotTakePartGetsNoPlace) {
  Registration empty = RegistrationOf(kShard1);
  run().Disconnected(kShard1, "stream broken");
  empty.capacity_bytes = 0;
  run().Receive(70, empty);
  ExpectRefused(70, absl::StatusCode::kInvalidArgument, "has no capacity for class centers");
  Connection stranger = 70;
  for (const char* const address : {"nowhere", "host:99999", "host:0", "http://host:1", "a b:1"}) {
    Registration lost = RegistrationOf(kShard1);
    lost.address = address;
    run().Receive(++stranger, lost);
    ExpectRefused(stranger, absl::StatusCode::kInvalidArgument, address);
  }
  run().Receive(80, RegistrationOf(kShard1));
  EXPECT_EQ(Received<Welcome>(80).at(0).id, 1u);
  ExpectItBegins();
}

TEST_F(GatheringTest, APlaceThatBecomesFreeMayBeTakenForAsLongAsTheFirstTime) {
  run().Receive(kStranger, RegistrationOf(kWorker1));
  LetPass(absl::Minutes(5));
  run().Disconnected(kStranger, "stream broken");
  outbox_.sent.erase(kStranger);
  LetPass(absl::Seconds(59));
  ExpectItBegins();
}

TEST_F(GatheringTest, ThePlaceOfOneThatIsToldToEndMayBeTakenForAsLongToo) {
  run().Receive(kStranger, RegistrationOf(kWorker1));
  LetPass(absl::Minutes(5));
  run().Receive(kStranger, LeavingReport{"SIGTERM"});
  outbox_.sent.erase(kStranger);
  LetPass(absl::Seconds(59));
  ExpectItBegins();
}

// --- Messages out of order

TEST_F(RunFailureTest, AVoteOfANewerViewOrAnotherStepIsRefusedByName) {
  const std::vector<std::pair<ReadyVote, std::string>> cases = {
      {{.view = {7, 2}, .step = 3}, "Ready of view 7.2, but the run is in view 7.1"},
      {{.view = kView, .step = 4}, "voted for step 4 at step 3"},
      {{.view = kView, .step = 1}, "voted for step 1 at step 3"},
      {{.view = kView, .step = 0}, "voted for step 0 at step 3"},
  };
  for (const auto& [vote, part] : cases) {
    RecordingOutbox outbox;
    RecordingSink sink;
    TestedRun one(options_, &clock_, &outbox, &sink, &keeper_);
    for (const Connection connection : Everybody()) one.Receive(connection, RegistrationOf(connection));
    for (const Connection worker : {kWorker0, kWorker1}) one.Receive(worker, DatasetReport{100, 9, 42});
    for (const Connection connection : Everybody()) one.Receive(connection, JoinedReport{kView});
    for (const uint64_t step : {1, 2}) {
      for (const Connection connection : Everybody()) one.Receive(connection, VoteFor(step));
    }
    one.Receive(kWorker1, vote);
    ASSERT_TRUE(one.result().has_value()) << part;
    EXPECT_EQ(outbox.closed.at(kWorker1).code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(outbox.closed.at(kWorker1).message()), HasSubstr(part));
    EXPECT_EQ(outbox.closed.at(kShard0).code(), absl::StatusCode::kAborted);
    EXPECT_THAT(std::string(outbox.closed.at(kShard0).message()), StartsWith("worker 1 (pid 1021 on h): "));
  }
}

TEST_F(RunFailureTest, WhatIsOfAnOlderViewIsIgnored) {
  Begin();
  const View older{6, 9};
  run().Receive(kWorker0, JoinedReport{older});
  run().Receive(kWorker0, ReadyVote{.view = older, .step = 1});
  run().Receive(kWorker0, EvaluationReport{older, {}});
  run().Receive(kWorker0, CheckpointReport{.view = older, .step = 1});
  run().Receive(kWorker0, LostPeersReport{.view = older, .shards = {1}, .sentence = "shard 1 is gone"});
  LetPass(absl::Seconds(5));
  EXPECT_EQ(Sentence(), "(still running)");
  EXPECT_TRUE(outbox_.closed.empty());
  Vote(1);
  EXPECT_EQ(LastDecision().step, 1u);
}

TEST_F(RunFailureTest, MessagesOutOfPlaceAreRefusedAndEndIt) {
  const std::vector<std::pair<std::function<void(TestedRun&)>, std::string>> cases = {
      {[](TestedRun& run) { run.Receive(kWorker1, RegistrationOf(kWorker1)); }, "has registered already"},
      {[](TestedRun& run) {
         run.Receive(kShard1, DatasetReport{100, 9, 42});
       },
       "only workers have a data set"},
      {[](TestedRun& run) {
         run.Receive(kWorker0, DatasetReport{99, 9, 42});
       },
       "another data set before"},
      {[](TestedRun& run) {
         run.Receive(kShard1, JoinedReport{{7, 2}});
       },
       "Joined of view 7.2"},
      {[](TestedRun& run) {
         run.Receive(kShard1, LostPeersReport{.view = {7, 2}, .sentence = "gone"});
       },
       "LostPeers of view 7.2"},
      {[](TestedRun& run) {
         run.Receive(kWorker1, EvaluationReport{kView, {}});
       },
       "only worker 0 (pid 1020 on h) reports"},
      {[](TestedRun& run) {
         run.Receive(kWorker0, EvaluationReport{kView, {}});
       },
       "an evaluation that is not due, at step 1"},
      {[](TestedRun& run) { run.Receive(kWorker0, FinishedReport{}); },
       "has sent Finished at step 1, but was not told to stop"},
      {[](TestedRun& run) { run.Refuse(kWorker0, absl::InvalidArgumentError("Ready lacks a view")); },
       "Ready lacks a view"},
  };
  for (const auto& [act, part] : cases) {
    RecordingOutbox outbox;
    RecordingSink sink;
    TestedRun one(options_, &clock_, &outbox, &sink, &keeper_);
    for (const Connection connection : Everybody()) one.Receive(connection, RegistrationOf(connection));
    for (const Connection worker : {kWorker0, kWorker1}) one.Receive(worker, DatasetReport{100, 9, 42});
    for (const Connection connection : Everybody()) one.Receive(connection, JoinedReport{kView});
    act(one);
    ASSERT_TRUE(one.result().has_value()) << part;
    EXPECT_THAT(std::string(one.result()->message()), HasSubstr(part));
    EXPECT_EQ(outbox.closed.size(), 4u);
  }
}

TEST_F(RunFailureTest, AVoteBeforeThereIsAViewEndsOnlyItsStream) {
  RegisterAll();
  run().Receive(kShard0, VoteFor(1));
  ExpectRefused(kShard0, absl::StatusCode::kFailedPrecondition, "sent Ready before there is a view");
  EXPECT_FALSE(run().result().has_value());
}

// --- Failures

TEST_F(RunFailureTest, WhoJoinsWithAnotherStateEndsIt) {
  RegisterAll();
  ReportData();
  run().Receive(kShard1, JoinedReport{.view = kView, .state = {0, 77}});
  EXPECT_THAT(Sentence(),
              HasSubstr("shard 1 (pid 1011 on h): has joined view 7.1, whose state is that after step 0 with "
                        "the lineage 0000000000000000, with that after step 0 with the lineage "
                        "000000000000004d"));
  ExpectAllAborted(kShard1);
}

TEST_F(RunFailureTest, AFailureOfAParticipantEndsItWithItsSentenceAndCode) {
  Begin();
  run().Receive(kWorker1,
                FailureReport{"data/train.rec: ends at byte 100", static_cast<int>(absl::StatusCode::kDataLoss)});
  EXPECT_EQ(
      *run().result(),
      WithDetails(absl::DataLossError("worker 1 (pid 1021 on h): data/train.rec: ends at byte 100"), {.pid = 1021}));
  ExpectAllAborted();
}

TEST_F(RunFailureTest, AFailureWithACodeThatDoesNotExistIsUnknown) {
  for (const int code : {0, -3, 17, 1000}) {
    RecordingOutbox outbox;
    TestedRun one(options_, &clock_, &outbox, &sink_, &keeper_);
    one.Receive(kShard0, RegistrationOf(kShard0));
    one.Receive(kShard0, FailureReport{"no memory", code});
    EXPECT_EQ(*one.result(), WithDetails(absl::UnknownError("shard 0 (pid 1010 on h): no memory"), {.pid = 1010}));
  }
}

// --- Numeric faults, corrupt data, stops that hang

TEST_F(RunFailureTest, MaxSkipsInARowEndItWithTheReason) {
  Begin();
  Vote(1);
  for (uint64_t step = 2; step <= 4; ++step) {
    EXPECT_FALSE(run().result().has_value());
    VoteWithNan(step);
  }
  EXPECT_EQ(
      Sentence(),
      "3 steps in a row were not finite (run.max_skips), step 4 because of worker 1 (pid 1021 on h): the gradient of "
      "features.weight is not finite");
  EXPECT_EQ(LastDecision().step, 3u);
  ExpectAllAborted();
}

TEST_F(RunFailureTest, MoreCorruptRecordsInAnEpochThanAllowedEndIt) {
  options_.config.data.max_corrupt_share = 0.02;
  Begin();
  for (uint64_t step = 1; step <= 3 && !run().result(); ++step) {
    for (const Connection connection : Everybody()) {
      ReadyVote vote = VoteFor(step);
      vote.corrupt_records = connection == kWorker1 ? 1 : 0;
      run().Receive(connection, vote);
    }
  }
  EXPECT_EQ(
      Sentence(),
      "3 of data.train's 100 records could not be decoded in this epoch, by step 3; data.max_corrupt_share allows "
      "0.02");
  ExpectAllAborted();
}

TEST_F(RunFailureTest, AStopGivesUpOnParticipantsThatDoNotFinish) {
  options_.stop_timeout = absl::Seconds(30);
  Begin();
  run().RequestStop();
  Vote(1);
  CompleteCheckpoint(1);
  run().Receive(kShard0, FinishedReport{});
  LetPass(absl::Seconds(29));
  EXPECT_FALSE(run().result().has_value());
  LetPass(absl::Seconds(1));
  EXPECT_EQ(run().result()->code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(
      Sentence(),
      "gave up after 30s, still waiting for shard 1 (pid 1011 on h), worker 0 (pid 1020 on h), worker 1 (pid 1021 on "
      "h) to finish");
  ExpectAllAborted();
}

TEST_F(RunFailureTest, AMemberThatIsToldToEndStopsItInOrderAndItIsToBeResumed) {
  Begin();
  run().Receive(kWorker1, LeavingReport{"SIGTERM"});
  run().Receive(kWorker1, LeavingReport{"SIGTERM"});
  run().Receive(kShard0, LeavingReport{"SIGINT"});
  EXPECT_FALSE(run().result().has_value());
  Vote(1);
  EXPECT_EQ(LastDecision().next, (Next{NextAction::kStop, {}, true}));
  CompleteCheckpoint(1);
  FinishAll();
  EXPECT_EQ(Sentence(),
            "worker 1 (pid 1021 on h) was told to end by SIGTERM, so the run was stopped in order after step 1; it can "
            "be resumed");
  EXPECT_EQ(DetailsOf(*run().result()), (FailureDetails{FailureCause::kMemberLeft, 1021}));
  ExpectAllAborted();
}

TEST_F(RunFailureTest, WhereTheCoordinatorIsToldToEndTooTheEndIsInOrderForAll) {
  Begin();
  run().Receive(kWorker1, LeavingReport{"SIGTERM"});
  Vote(1);
  run().RequestStop();
  CompleteCheckpoint(1);
  FinishAll();
  EXPECT_TRUE(run().result()->ok()) << *run().result();
  EXPECT_TRUE(outbox_.closed.at(kWorker1).ok());
}

TEST_F(RunFailureTest, AMemberThatIsToldToEndAfterTheLastStepChangesNothing) {
  Begin();
  for (uint64_t step = 1; step <= 20; ++step) Vote(step);
  EXPECT_EQ(LastDecision().next.action, NextAction::kStop);
  run().Receive(kShard1, LeavingReport{"SIGTERM"});
  CompleteCheckpoint(20);
  FinishAll();
  EXPECT_TRUE(run().result()->ok()) << *run().result();
}

TEST_F(RunFailureTest, AMemberThatIsToldToEndBeforeThereIsAViewFreesItsPlace) {
  RegisterAll();
  run().Receive(kShard1, LeavingReport{"SIGTERM"});
  ExpectRefused(kShard1, absl::StatusCode::kAborted,
                "shard 1 (pid 1011 on h) was told to end by SIGTERM, before the run began");
  run().Disconnected(kShard1, "stream broken");
  EXPECT_FALSE(run().result().has_value());
  EXPECT_EQ(LastProgress().waiting_for, "waiting for 1 of 2 shards");
  run().Receive(12, RegistrationOf(12));
  EXPECT_FALSE(outbox_.closed.contains(12));
}

TEST_F(RunFailureTest, TheFirstEndStands) {
  Begin();
  run().Receive(kShard0, FailureReport{"no memory", static_cast<int>(absl::StatusCode::kResourceExhausted)});
  const std::string sentence = Sentence();
  const size_t reports = sink_.reports.size();
  run().Disconnected(kShard1, "stream broken");
  run().Receive(kWorker0, FailureReport{"shard 0 is gone", 14});
  run().RequestStop();
  run().Tick();
  EXPECT_EQ(Sentence(), sentence);
  EXPECT_EQ(sink_.reports.size(), reports);
}

}  // namespace
}  // namespace arcshard::coordinator
