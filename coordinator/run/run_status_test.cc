#include "coordinator/progress/run_status.h"

#include "coordinator/run/testing/run_test_fixture.h"
#include "gmock/gmock.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RunStatusTest : public RunTest {
 protected:
  VerificationReport Set(double accuracy) { return {.name = "lfw", .accuracy = accuracy, .pairs = 6000}; }
  void Evaluated(std::vector<VerificationReport> sets) { run().Receive(kWorker0, EvaluationReport{kView, sets}); }
};

TEST_F(RunStatusTest, BeforeThereAreMembersThereIsProgressAlone) {
  options_.config.run.folder = "/runs/a";
  const RunStatus status = run().Status();
  EXPECT_EQ(status.progress.phase, Phase::kGathering);
  EXPECT_EQ(status.run_folder, "/runs/a");
  EXPECT_EQ(status.num_classes, 0);
  EXPECT_THAT(status.members, IsEmpty());
}

TEST_F(RunStatusTest, MembersAreListedByRoleAndIdWithRangesAndSignsOfLife) {
  run().Receive(kWorker0, RegistrationOf(kWorker0));
  clock_.Advance(absl::Seconds(2));
  for (const Connection connection : {kShard0, kShard1, kWorker1})
    run().Receive(connection, RegistrationOf(connection));
  ReportData();
  clock_.Advance(absl::Seconds(3));
  run().Receive(kShard1, HeartbeatReport{});

  const RunStatus status = run().Status();
  EXPECT_EQ(status.view, kView);
  EXPECT_EQ(status.num_classes, 9);
  ASSERT_EQ(status.members.size(), 4u);
  EXPECT_EQ(status.members[0].registration, RegistrationOf(kShard0));
  EXPECT_EQ(status.members[1].registration, RegistrationOf(kShard1));
  EXPECT_EQ(status.members[2].registration, RegistrationOf(kWorker0));
  EXPECT_EQ(status.members[3].id, 1u);
  EXPECT_EQ(status.members[0].range, (ClassRange{0, 4}));
  EXPECT_EQ(status.members[1].range, (ClassRange{4, 9}));
  EXPECT_EQ(status.members[0].silent, absl::Seconds(3));
  EXPECT_EQ(status.members[1].silent, absl::ZeroDuration());
  EXPECT_EQ(status.members[1].attending, absl::Seconds(3));
  EXPECT_EQ(status.members[2].attending, absl::Seconds(5));
}

TEST_F(RunStatusTest, TheOverviewIsTheSameWithoutMembers) {
  Begin();
  Vote(1);
  const RunStatus status = run().Status(), overview = run().Overview();
  EXPECT_THAT(overview.members, IsEmpty());
  EXPECT_EQ(overview.progress.step, 1u);
  EXPECT_EQ(overview.view, status.view);
  EXPECT_EQ(overview.ranges, status.ranges);
  EXPECT_EQ(overview.num_classes, 9);
  EXPECT_TRUE(overview.began);
  EXPECT_EQ(overview.run_folder, "/runs/a");
}

TEST_F(RunStatusTest, WhatAMemberSaysOfItselfIsKept) {
  Begin();
  const ParticipantStats first{1000, 500, {{"pass_1", 10, 1.0}}};
  const ParticipantStats second{2000, 500, {{"pass_1", 12, 1.5}}};
  run().Receive(kShard0, HeartbeatReport{first});
  clock_.Advance(absl::Seconds(1));
  run().Receive(kShard0, HeartbeatReport{second});
  run().Receive(kShard0, HeartbeatReport{});  // nothing new
  const RunStatus status = run().Status();
  EXPECT_EQ(status.members[0].stats, second);
  EXPECT_THAT(status.members[0].recent, ElementsAre(PhaseTime{"pass_1", 2, 0.5}));
  EXPECT_EQ(status.members[1].stats, ParticipantStats{});
}

TEST_F(RunStatusTest, AShardIsRecoverableOnlyWhereTheConfigurationKeepsLogs) {
  Begin();
  Vote(1);
  EXPECT_TRUE(LastProgress().recoverable);
  Restart();
  options_.config.cluster.log_mb = 0;
  Begin();
  Vote(1);
  EXPECT_FALSE(LastProgress().recoverable);
  Restart();
  options_.config.cluster.log_mb = 1024;
  options_.config.cluster.shards = 1;
  Begin();
  Vote(1);
  EXPECT_FALSE(LastProgress().recoverable);
}

TEST_F(RunStatusTest, TheWelcomeSaysHowOftenToGiveASignOfLife) {
  options_.config.cluster.heartbeat_interval = absl::Milliseconds(250);
  RegisterAll();
  EXPECT_EQ(Received<Welcome>(kWorker1).front().heartbeat_interval, absl::Milliseconds(250));
}

TEST_F(RunStatusTest, TheBestVerificationIsTheEarliestOfTheBestMeans) {
  options_.config.verification.sets = {"lfw.bin", "cfp.bin"};
  options_.config.verification.every_epochs = 0.1;  // an epoch has 10 steps, so after each
  Begin();
  const std::vector<std::pair<double, double>> accuracies = {{0.5, 0.7}, {0.9, 0.4}, {0.6, 0.7}, {0.7, 0.6}};
  const std::vector<uint64_t> best_step = {1, 2, 2, 2};
  for (size_t i = 0; i < accuracies.size(); ++i) {
    Vote(i + 1);
    ASSERT_EQ(LastDecision().next.action, NextAction::kEvaluate);
    Evaluated({Set(accuracies[i].first), Set(accuracies[i].second)});
    EXPECT_EQ(LastProgress().best_step, best_step[i]) << i;
    EXPECT_EQ(LastProgress().verification_step, i + 1);
  }
  EXPECT_DOUBLE_EQ(LastProgress().best_accuracy, 0.65);
}

}  // namespace
}  // namespace arcshard::coordinator
