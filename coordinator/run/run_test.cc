#include "coordinator/run/run.h"

#include <limits>
#include <set>
#include <string>
#include <vector>

#include "common/base/failure_details.h"
#include "common/protocol/lineage.h"
#include "coordinator/run/testing/run_test_fixture.h"
#include "gmock/gmock.h"

// An orderly run: gathering, joining, steps, evaluation, ends. Losses are in run_recovery_test.cc, failures in
// run_failure_test.cc.
namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST_F(RunTest, GatheringSaysForWhomItWaits) {
  run().Receive(kShard1, RegistrationOf(kShard1));
  EXPECT_EQ(LastProgress().phase, Phase::kGathering);
  EXPECT_EQ(LastProgress().waiting_for, "waiting for 1 of 2 shards and 2 of 2 workers");
  run().Receive(kShard0, RegistrationOf(kShard0));
  run().Receive(kWorker0, RegistrationOf(kWorker0));
  EXPECT_EQ(LastProgress().waiting_for, "waiting for 1 of 2 workers");
  run().Receive(kWorker1, RegistrationOf(kWorker1));
  EXPECT_EQ(LastProgress().waiting_for, "waiting for the data set of 2 of 2 workers");
  run().Receive(kWorker1, DatasetReport{100, 9, 42});
  EXPECT_EQ(LastProgress().waiting_for, "waiting for the data set of 1 of 2 workers");
  run().Receive(kWorker0, DatasetReport{100, 9, 42});
  EXPECT_EQ(LastProgress().phase, Phase::kJoining);
  EXPECT_THAT(LastProgress().waiting_for, HasSubstr("worker 0 (pid 1020 on h), 1 more to join"));
}

TEST_F(RunTest, CollectsItsOutputsInOrderUntilTheyAreTaken) {
  coordinator::Run run(options_, &clock_);
  const RunOutputs first = run.TakeOutputs();
  ASSERT_EQ(first.size(), 1u);
  EXPECT_TRUE(std::holds_alternative<Progress>(first[0]));
  run.Receive(kShard0, RegistrationOf(kShard0));
  run.Receive(99, HeartbeatReport{});
  const RunOutputs outputs = run.TakeOutputs();
  ASSERT_EQ(outputs.size(), 4u);
  EXPECT_TRUE(std::holds_alternative<CameOrWent>(outputs[0]));
  EXPECT_EQ(std::get<SendMessage>(outputs[1]).to, kShard0);
  EXPECT_TRUE(std::holds_alternative<Progress>(outputs[2]));
  EXPECT_EQ(std::get<CloseStream>(outputs[3]).to, 99u);
  EXPECT_TRUE(run.TakeOutputs().empty());
}

TEST_F(RunTest, WelcomesInOrderOfRegistrationWithinTheRole) {
  for (const Connection connection : {kWorker1, kShard1, kWorker0, kShard0}) {
    run().Receive(connection, RegistrationOf(connection));
  }
  EXPECT_EQ(Received<Welcome>(kWorker1)[0].id, 0u);
  EXPECT_EQ(Received<Welcome>(kWorker0)[0].id, 1u);
  EXPECT_EQ(Received<Welcome>(kShard1)[0].id, 0u);
  EXPECT_EQ(Received<Welcome>(kShard0)[0].id, 1u);
  EXPECT_EQ(Received<Welcome>(kShard0)[0].config_yaml, "run: {}");
  EXPECT_EQ(Received<Welcome>(kShard0)[0].incarnation, 7u);
}

TEST_F(RunTest, EachParticipantGetsATokenOfItsOwnAndOnlyShardsLearnThem) {
  RegisterAll();
  std::set<std::string> tokens;
  for (const Connection connection : Everybody()) {
    tokens.insert(Received<Welcome>(connection).at(0).token);
  }
  EXPECT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens.begin()->size(), kTokenBytes);
  ReportData();
  for (const Connection shard : {kShard0, kShard1}) {
    const ViewAnnouncement view = Received<ViewAnnouncement>(shard).at(0);
    EXPECT_EQ(view.workers.at(0).token, Received<Welcome>(kWorker0).at(0).token);
    EXPECT_EQ(view.workers.at(1).token, Received<Welcome>(kWorker1).at(0).token);
    EXPECT_EQ(view.shards.at(0).token, Received<Welcome>(kShard0).at(0).token);
    EXPECT_EQ(view.shards.at(1).token, Received<Welcome>(kShard1).at(0).token);
  }
  for (const Connection worker : {kWorker0, kWorker1}) {
    const ViewAnnouncement view = Received<ViewAnnouncement>(worker).at(0);
    for (const WorkerMember& member : view.workers) EXPECT_EQ(member.token, "");
    for (const ShardMember& member : view.shards) EXPECT_EQ(member.token, "");
  }
  ASSERT_EQ(sink_.views.size(), 1u);
  EXPECT_EQ(sink_.views[0].workers.at(0).token, "");
}

// The same registration from machine "m", which has "GPU-0" with 1 GiB of memory and "GPU-1" with 3 GiB.
Registration OnAGpu(Registration registration) {
  registration.device_request = DeviceRequest{
      "m", registration.address, {{"GPU-0", "small", uint64_t{1} << 30}, {"GPU-1", "large", uint64_t{3} << 30}}};
  return registration;
}

TEST_F(RunTest, LeasesEachShardAGpuAndSizesItsRangeByThat) {
  run().Receive(kShard0, OnAGpu(RegistrationOf(kShard0)));
  run().Receive(kShard1, OnAGpu(RegistrationOf(kShard1)));
  run().Receive(kWorker0, RegistrationOf(kWorker0));
  run().Receive(kWorker1, RegistrationOf(kWorker1));
  EXPECT_EQ(Received<Welcome>(kShard0).front().device, "GPU-0");
  EXPECT_EQ(Received<Welcome>(kShard1).front().device, "GPU-1");
  EXPECT_EQ(Received<Welcome>(kWorker0).front().device, "");
  EXPECT_EQ(run().kept_history(), (LeaseHistory{{"m", "GPU-0", "h:10"}, {"m", "GPU-1", "h:11"}}));
  ReportData();  // 9 classes
  const ViewAnnouncement view = Received<ViewAnnouncement>(kShard0).front();
  EXPECT_EQ(view.shards[0].range.size(), 2);
  EXPECT_EQ(view.shards[1].range.size(), 7);
}

TEST_F(RunTest, AShardWithoutAGpuLeftIsRefusedAndHarmsNobody) {
  options_.config.cluster.shards = 3;
  run().Receive(kShard0, OnAGpu(RegistrationOf(kShard0)));
  run().Receive(kShard1, OnAGpu(RegistrationOf(kShard1)));
  run().Receive(kShard1 + 1, OnAGpu(RegistrationOf(kShard1 + 1)));
  const absl::Status& refused = outbox_.closed.at(kShard1 + 1);
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(refused.message(),
            "no GPU is left for shard 2 (pid 1012 on h): all 2 that it sees are leased, GPU-0 (small) to shard 0 (pid "
            "1010 on h), GPU-1 (large) to shard 1 (pid 1011 on h); start fewer shards on that machine, or all with "
            "--share-device");
  EXPECT_FALSE(run().result().has_value());
  run().Receive(kShard1 + 2, RegistrationOf(kShard1 + 2));  // on the CPU
  EXPECT_EQ(Received<Welcome>(kShard1 + 2).size(), 1u);
}

TEST_F(RunTest, ANewLifeOfTheRunGivesEachItsOwnGpuAgain) {
  options_.lease_history = {{"m", "GPU-1", "h:10"}, {"m", "GPU-0", "h:11"}};
  run().Receive(kShard0, OnAGpu(RegistrationOf(kShard0)));
  run().Receive(kShard1, OnAGpu(RegistrationOf(kShard1)));
  EXPECT_EQ(Received<Welcome>(kShard0).front().device, "GPU-1");
  EXPECT_EQ(Received<Welcome>(kShard1).front().device, "GPU-0");
}

TEST_F(RunTest, OnlyShardsAskForAGpu) {
  run().Receive(kWorker0, OnAGpu(RegistrationOf(kWorker0)));
  EXPECT_EQ(outbox_.closed.at(kWorker0).message(), "only shards ask for a GPU");
}

TEST_F(RunTest, AnnouncesOneViewToEverybodyInOrderOfIds) {
  for (const Connection connection : {kWorker1, kShard1, kWorker0, kShard0}) {
    run().Receive(connection, RegistrationOf(connection));
  }
  ReportData();
  ViewAnnouncement expected{.view = kView,
                            .num_classes = 9,
                            .shards = {{0, "h:11", {0, 4}}, {1, "h:10", {4, 9}}},
                            .workers = {{0, "h:21"}, {1, "h:20"}},
                            .state = {},
                            .base = {}};
  for (const Connection worker : {kWorker0, kWorker1}) {
    EXPECT_THAT(Received<ViewAnnouncement>(worker), ElementsAre(expected));
  }
  expected.shards[0].token = Received<Welcome>(kShard1)[0].token;
  expected.shards[1].token = Received<Welcome>(kShard0)[0].token;
  expected.workers[0].token = Received<Welcome>(kWorker1)[0].token;
  expected.workers[1].token = Received<Welcome>(kWorker0)[0].token;
  for (const Connection shard : {kShard0, kShard1}) {
    EXPECT_THAT(Received<ViewAnnouncement>(shard), ElementsAre(expected));
  }
}

TEST_F(RunTest, SizesRangesByCapacityAndTakesTheConfiguredNumberOfClasses) {
  options_.config.head.classes = 1000;
  Registration big = RegistrationOf(kShard1);
  big.capacity_bytes *= 3;
  run().Receive(kShard0, RegistrationOf(kShard0));
  run().Receive(kShard1, big);
  for (const Connection worker : {kWorker0, kWorker1}) run().Receive(worker, RegistrationOf(worker));
  ReportData();
  const ViewAnnouncement view = Received<ViewAnnouncement>(kWorker0).at(0);
  EXPECT_EQ(view.num_classes, 1000);
  EXPECT_EQ(view.shards[0].range, (ClassRange{0, 250}));
  EXPECT_EQ(view.shards[1].range, (ClassRange{250, 1000}));
}

TEST_F(RunTest, IsInstalledOnceAllHaveJoined) {
  RegisterAll();
  ReportData();
  run().Receive(kShard0, JoinedReport{kView});
  run().Receive(kShard0, JoinedReport{kView});  // a repeat
  run().Receive(kShard1, JoinedReport{kView});
  run().Receive(kWorker0, JoinedReport{kView});
  EXPECT_EQ(LastProgress().waiting_for, "waiting for worker 1 (pid 1021 on h) to join");
  EXPECT_THAT(Received<Install>(kWorker0), IsEmpty());
  run().Receive(kWorker1, JoinedReport{kView});
  const Install expected{kView, {NextAction::kStep, StepPlan{1, 0, 0, {5, 5}}}, {}};
  for (const Connection connection : Everybody()) {
    EXPECT_THAT(Received<Install>(connection), ElementsAre(expected));
    EXPECT_THAT(Received<Decision>(connection), IsEmpty());
  }
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  EXPECT_EQ(LastProgress().steps, 20u);
  EXPECT_THAT(sink_.recoveries, IsEmpty());
}

TEST_F(RunTest, DecidesOnlyWhenEveryMemberHasVoted) {
  Begin();
  for (const Connection connection : {kWorker1, kShard0, kShard1}) {
    run().Receive(connection, VoteFor(1));
    run().Receive(connection, VoteFor(1));  // a repeat
    EXPECT_THAT(Received<Decision>(kWorker0), IsEmpty());
  }
  run().Receive(kWorker0, VoteFor(1));
  Decision expected{.view = kView,
                    .step = 1,
                    .outcome = Outcome::kCommit,
                    .lr = 0.1,
                    .next = {NextAction::kStep, StepPlan{2, 0, 10, {5, 5}}}};
  expected.lineage = ExtendLineage(0, expected);
  for (const Connection connection : Everybody()) EXPECT_THAT(Received<Decision>(connection), ElementsAre(expected));
  run().Receive(kWorker0, VoteFor(1));  // a repeat of a decided step
  EXPECT_FALSE(run().result().has_value());
  EXPECT_THAT(Received<Decision>(kWorker0), SizeIs(1));
}

TEST_F(RunTest, EveryDecisionExtendsTheLineageAndCarriesWhatIsCounted) {
  Begin();
  Vote(1);
  VoteWithNan(2);
  Vote(3);
  const std::vector<Decision> decisions = Received<Decision>(kShard1);
  ASSERT_THAT(decisions, SizeIs(3));
  uint64_t lineage = 0;
  for (const Decision& decision : decisions) {
    lineage = ExtendLineage(lineage, decision);
    EXPECT_EQ(decision.lineage, lineage) << decision.step;
  }
  EXPECT_EQ(decisions[1].counters.skips_in_a_row, 1u);
  EXPECT_EQ(decisions[2].counters.skips_in_a_row, 0u);
  EXPECT_EQ(decisions[2].counters.skipped, 1u);
}

TEST_F(RunTest, AShardThatWantsACheckpointGetsOneWhateverTheSchedule) {
  Begin();
  for (const Connection connection : Everybody()) {
    ReadyVote vote = VoteFor(1);
    vote.wants_checkpoint = connection == kShard1;
    run().Receive(connection, vote);
  }
  EXPECT_TRUE(LastNext().checkpoint);
  Vote(2);
  EXPECT_FALSE(LastNext().checkpoint);
}

TEST_F(RunTest, SendsSignsOfLifeAsOftenAsItWantsThem) {
  Begin();
  const size_t before = Received<Pulse>(kWorker1).size();
  LetPass(absl::Seconds(10));
  for (const Connection connection : Everybody()) EXPECT_EQ(Received<Pulse>(connection).size(), before + 10);
}

TEST_F(RunTest, SumsUpEveryDecidedStep) {
  Begin();
  EXPECT_THAT(sink_.views, SizeIs(1));
  for (const Connection connection : Everybody()) {
    clock_.Advance(absl::Seconds(1));
    run().Receive(connection, VoteFor(1));
  }
  VoteWithNan(2);
  ASSERT_THAT(sink_.steps, SizeIs(2));
  EXPECT_EQ(sink_.steps[0].step, 1u);
  EXPECT_EQ(sink_.steps[0].outcome, Outcome::kCommit);
  EXPECT_EQ(sink_.steps[0].samples, 10u);
  EXPECT_EQ(sink_.steps[0].gathered_votes_for, absl::Seconds(3));
  EXPECT_EQ(sink_.steps[1].outcome, Outcome::kSkip);
}

TEST_F(RunTest, ReportsWhatTheStepWasLike) {
  Begin();
  for (uint64_t step = 1; step <= 5; ++step) {
    clock_.Advance(absl::Milliseconds(500));
    Vote(step);
  }
  const Progress& progress = LastProgress();
  EXPECT_EQ(progress.step, 5u);
  EXPECT_DOUBLE_EQ(progress.epoch, 0.5);
  EXPECT_DOUBLE_EQ(progress.epochs, 2.0);
  EXPECT_EQ(progress.loss, 5.0);
  EXPECT_EQ(progress.target_cosine, 0.25);
  EXPECT_EQ(progress.lr, 0.1);
  EXPECT_DOUBLE_EQ(progress.samples_per_second, 20.0);
  EXPECT_DOUBLE_EQ(progress.eta_seconds, 7.5);
}

TEST_F(RunTest, ASetDateSpoilsNeitherTheRateNorTheTimeThatIsLeft) {
  Begin();
  for (uint64_t step = 1; step <= 5; ++step) {
    clock_.Advance(absl::Milliseconds(500));
    if (step % 2 == 0) clock_.SetForward(absl::Hours(9));
    if (step % 2 == 1) clock_.SetBack(absl::Hours(5));
    Vote(step);
  }
  EXPECT_DOUBLE_EQ(LastProgress().samples_per_second, 20.0);
  EXPECT_DOUBLE_EQ(LastProgress().eta_seconds, 7.5);
}

TEST_F(RunTest, WithoutVerificationSetsStopsAfterTheLastStepAndEndsWhenAllHaveFinished) {
  Begin();
  for (uint64_t step = 1; step <= 20; ++step) {
    EXPECT_EQ(LastNext().action, NextAction::kStep);
    EXPECT_EQ(LastNext().plan.step, step);
    Vote(step);
  }
  EXPECT_EQ(LastDecision().step, 20u);
  EXPECT_EQ(LastDecision().next, (Next{NextAction::kStop, {}, true}));
  EXPECT_EQ(LastProgress().phase, Phase::kStopping);
  CompleteCheckpoint(20);
  for (const Connection connection : {kShard0, kWorker1, kShard1}) {
    run().Receive(connection, FinishedReport{});
    run().Disconnected(connection, "stream broken");  // it may leave as soon as it has finished
    EXPECT_FALSE(run().result().has_value());
  }
  EXPECT_EQ(LastProgress().waiting_for, "waiting for worker 0 (pid 1020 on h) to finish");
  run().Receive(kWorker0, FinishedReport{});
  ASSERT_TRUE(run().result().has_value());
  EXPECT_TRUE(run().result()->ok());
  EXPECT_EQ(LastProgress().phase, Phase::kFinished);
  for (const Connection connection : Everybody()) EXPECT_TRUE(outbox_.closed.at(connection).ok());
}

TEST_F(RunTest, EvaluatesWhenDueAndProceeds) {
  options_.config.verification.sets = {"omniglot.bin"};
  options_.config.verification.every_epochs = 1.0;
  Begin();
  for (uint64_t step = 1; step <= 10; ++step) Vote(step);
  EXPECT_EQ(LastDecision().next, (Next{NextAction::kEvaluate, {}}));
  EXPECT_EQ(LastProgress().phase, Phase::kEvaluating);
  const VerificationReport set{"omniglot", 0.93, 0.01, 1.5, 6000, 8.0};
  clock_.Advance(absl::Seconds(100));
  run().Receive(kWorker0, EvaluationReport{kView, {set}});
  for (const Connection connection : Everybody()) {
    const std::vector<Proceed> proceeds = Received<Proceed>(connection);
    ASSERT_THAT(proceeds, SizeIs(1));
    EXPECT_EQ(proceeds[0].view, kView);
    EXPECT_EQ(proceeds[0].next, (Next{NextAction::kStep, StepPlan{11, 1, 0, {5, 5}}}));
  }
  EXPECT_THAT(LastProgress().verification, ElementsAre(set));
  EXPECT_EQ(LastProgress().verification_step, 10u);
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  clock_.Advance(absl::Seconds(1));
  Vote(11);
  EXPECT_DOUBLE_EQ(LastProgress().samples_per_second, 110.0);  // the evaluation's 100 s don't count
  for (uint64_t step = 12; step <= 20; ++step) Vote(step);
  EXPECT_EQ(LastDecision().next, (Next{NextAction::kEvaluate, {}, true}));
  run().Receive(kWorker0, EvaluationReport{kView, {set}});
  EXPECT_EQ(Received<Proceed>(kShard0).back().next, (Next{NextAction::kStop, {}}));
  CompleteCheckpoint(20);
  FinishAll();
  EXPECT_TRUE(run().result()->ok());
}

TEST_F(RunTest, SkipsAStepForEverybodyWhenOneVoteIsNotFinite) {
  Begin();
  VoteWithNan(1);
  for (const Connection connection : Everybody()) {
    EXPECT_EQ(LastDecision(connection).outcome, Outcome::kSkip);
    EXPECT_EQ(LastDecision(connection).next.plan.step, 2u);
  }
  EXPECT_EQ(LastProgress().skipped, 1u);
  EXPECT_EQ(sink_.notes.back(),
            "step 1 is skipped: worker 1 (pid 1021 on h): the gradient of features.weight is not finite");
  Vote(2);
  EXPECT_EQ(LastDecision().outcome, Outcome::kCommit);
}

TEST_F(RunTest, SkipsThatDoNotFollowOneAnotherDoNotEndIt) {
  Begin();
  for (uint64_t step = 1; step <= 20; ++step) step % 3 == 0 ? Vote(step) : VoteWithNan(step);
  EXPECT_EQ(LastProgress().skipped, 14u);
  EXPECT_EQ(LastProgress().phase, Phase::kStopping);
}

TEST_F(RunTest, CountsCorruptRecordsOfAllWorkers) {
  options_.config.data.max_corrupt_share = 0.05;
  Begin();
  for (uint64_t step = 1; step <= 20; ++step) {
    for (const Connection connection : Everybody()) {
      ReadyVote vote = VoteFor(step);
      if (connection >= kWorker0 && step % 10 == 3) vote.corrupt_records = connection - kWorker0 + 1;
      run().Receive(connection, vote);
    }
  }
  EXPECT_EQ(LastProgress().corrupt_records, 6u);  // 3 in each epoch of 100 records: within the share
  EXPECT_EQ(LastProgress().phase, Phase::kStopping);
}

TEST_F(RunTest, StopWhileTrainingTakesEffectAfterTheStepInProgress) {
  options_.config.verification.sets = {"omniglot.bin"};
  options_.config.verification.every_epochs = 0.1;
  Begin();
  run().Receive(kWorker0, VoteFor(1));
  run().RequestStop();
  run().RequestStop();
  EXPECT_THAT(Received<Decision>(kWorker0), IsEmpty());
  Vote(1);
  EXPECT_EQ(LastDecision().step, 1u);
  EXPECT_EQ(LastDecision().next, (Next{NextAction::kStop, {}, true}));
  CompleteCheckpoint(1);
  FinishAll();
  EXPECT_TRUE(run().result()->ok());
}

TEST_F(RunTest, StopWhileGatheringEndsItAtOnceInOrder) {
  run().Receive(kWorker0, RegistrationOf(kWorker0));
  run().RequestStop();
  ASSERT_TRUE(run().result().has_value());
  EXPECT_TRUE(run().result()->ok());
  EXPECT_TRUE(outbox_.closed.at(kWorker0).ok());
}

TEST_F(RunTest, StopWhileJoiningEndsItBeforeTheFirstStep) {
  RegisterAll();
  ReportData();
  run().RequestStop();
  Join();
  EXPECT_EQ(LastNext(), (Next{NextAction::kStop, {}}));
  FinishAll();
  EXPECT_TRUE(run().result()->ok());
}

TEST_F(RunTest, AMemberThatIsToldToEndAbandonsAnEvaluationAsAStopDoes) {
  BeginEvaluating();
  run().Receive(kShard1, LeavingReport{"SIGTERM"});
  for (const Connection connection : Everybody()) {
    EXPECT_EQ(Received<Proceed>(connection).back().next, (Next{NextAction::kStop, {}, true}));
  }
  run().Receive(kWorker0, EvaluationReport{kView, {{"omniglot", 0.9}}});  // it was on its way
  CompleteCheckpoint(1);
  FinishAll();
  EXPECT_EQ(DetailsOf(*run().result()).cause, FailureCause::kMemberLeft) << *run().result();
}

TEST_F(RunTest, WorkersThatHaveNotJoinedYetLearnOfAStopSoThatTheyCheckNoMore) {
  RegisterAll();
  ReportData();
  run().Receive(kShard0, JoinedReport{kView});
  run().Receive(kWorker0, JoinedReport{kView});
  run().RequestStop();
  ASSERT_THAT(Received<Proceed>(kWorker1), SizeIs(1));
  EXPECT_EQ(Received<Proceed>(kWorker1)[0].next, (Next{NextAction::kStop, {}, false}));
  for (const Connection connection : {kShard0, kShard1, kWorker0}) {
    EXPECT_THAT(Received<Proceed>(connection), IsEmpty()) << connection;
  }
  run().Receive(kShard1, JoinedReport{kView});
  run().Receive(kWorker1, JoinedReport{kView});
  EXPECT_EQ(LastNext(kWorker1), (Next{NextAction::kStop, {}}));
}

TEST_F(RunTest, WorkersThatHaveNotJoinedYetLearnOfAMemberThatIsToldToEndInTheSameWay) {
  RegisterAll();
  ReportData();
  run().Receive(kShard0, LeavingReport{"SIGTERM"});
  for (const Connection connection : {kWorker0, kWorker1}) {
    ASSERT_THAT(Received<Proceed>(connection), SizeIs(1));
    EXPECT_EQ(Received<Proceed>(connection)[0].next, (Next{NextAction::kStop, {}, false}));
  }
}

TEST_F(RunTest, TellsHowManyImagesOfTheVerificationSetsAreCheckedBeforeTheFirstStep) {
  RegisterAll();
  ReportData();
  run().Receive(kWorker0, HeartbeatReport{ParticipantStats{.verified_images = 50, .images_to_verify = 150}});
  run().Receive(kWorker1, HeartbeatReport{ParticipantStats{.verified_images = 100, .images_to_verify = 150}});
  run().Tick();
  EXPECT_EQ(LastProgress().phase, Phase::kJoining);
  EXPECT_EQ(LastProgress().verified_images, 150u);
  EXPECT_EQ(LastProgress().images_to_verify, 300u);
  Join();
  EXPECT_EQ(LastProgress().images_to_verify, 0u);
}

TEST_F(RunTest, AStopAbandonsAnEvaluationAndKeepsTheStateBeforeIt) {
  BeginEvaluating();
  run().RequestStop();
  for (const Connection connection : Everybody()) {
    EXPECT_EQ(Received<Proceed>(connection).back().next, (Next{NextAction::kStop, {}, true}));
  }
  EXPECT_EQ(LastProgress().phase, Phase::kStopping);
  run().Receive(kWorker0, EvaluationReport{kView, {{"omniglot", 0.9}}});  // it was on its way
  EXPECT_EQ(LastProgress().best_step, 0u);
  CompleteCheckpoint(1);
  FinishAll();
  EXPECT_TRUE(run().result()->ok());
}

TEST_F(RunTest, AnEvaluationThatIsIncompleteHarmsNobodyAndIsNoBest) {
  options_.config.verification.sets = {"lfw.bin", "agedb.bin"};
  options_.config.verification.every_epochs = 0.1;
  Begin();
  Vote(1);
  run().Receive(kWorker0, EvaluationReport{kView, {{"lfw", 0.99}}, "agedb.bin: image 3 is damaged"});
  EXPECT_EQ(LastProgress().phase, Phase::kTraining);
  EXPECT_THAT(LastProgress().verification, SizeIs(1));
  EXPECT_EQ(LastProgress().verification_failure, "agedb.bin: image 3 is damaged");
  EXPECT_EQ(LastProgress().best_accuracy, 0.0);
  Vote(2);
  run().Receive(kWorker0, EvaluationReport{kView, {}, "all are damaged"});
  EXPECT_EQ(LastProgress().verification_step, 1u) << "the last one that measured something";
  Vote(3);
  run().Receive(kWorker0, EvaluationReport{kView, {{"lfw", 0.9}, {"agedb", 0.8}}});
  EXPECT_EQ(LastProgress().verification_failure, "");
  EXPECT_EQ(LastProgress().best_step, 3u);
}

TEST_F(RunTest, TellsHowFarAnEvaluationIsAndCountsItInTheTimeThatIsLeft) {
  options_.config.verification.sets = {"omniglot.bin"};
  options_.config.verification.every_epochs = 1.0;  // after steps 10 and 20
  RegisterAll();
  ReportData();
  for (const Connection connection : Everybody()) {
    run().Receive(connection, JoinedReport{.view = kView, .verification_images = connection >= kWorker0 ? 150u : 0u});
  }
  for (uint64_t step = 1; step <= 9; ++step) {
    clock_.Advance(absl::Seconds(1));
    Vote(step);
  }
  // 11 steps of a second; two verifications of 300 images, as many as 200 samples of training.
  EXPECT_DOUBLE_EQ(LastProgress().eta_seconds, 11.0 + 2 * 20.0);
  clock_.Advance(absl::Seconds(1));
  Vote(10);
  EXPECT_EQ(LastProgress().phase, Phase::kEvaluating);
  EXPECT_DOUBLE_EQ(LastProgress().eta_seconds, 10.0 + 2 * 20.0);
  clock_.Advance(absl::Seconds(30));
  run().Receive(kWorker0, HeartbeatReport{ParticipantStats{.verified_images = 50, .images_to_verify = 150}});
  run().Receive(kWorker1, HeartbeatReport{ParticipantStats{.verified_images = 100, .images_to_verify = 150}});
  run().Tick();
  EXPECT_EQ(LastProgress().verified_images, 150u);
  EXPECT_EQ(LastProgress().images_to_verify, 300u);
  EXPECT_DOUBLE_EQ(LastProgress().eta_seconds, 10.0 + 30.0 + 20.0);
  clock_.Advance(absl::Seconds(30));
  run().Receive(kWorker0, EvaluationReport{kView, {{"omniglot", 0.9}}});
  EXPECT_EQ(LastProgress().images_to_verify, 0u);
  EXPECT_DOUBLE_EQ(LastProgress().eta_seconds, 10.0 + 60.0) << "the next one takes as long as this one";
}

TEST_F(RunTest, HeartbeatsKeepItAliveHoweverLongAStepTakes) {
  Begin();
  LetPass(absl::Minutes(10));
  EXPECT_FALSE(run().result().has_value());
}

}  // namespace
}  // namespace arcshard::coordinator
