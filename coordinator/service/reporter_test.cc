#include "coordinator/service/reporter.h"

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "coordinator/service/session.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ReporterTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kMembers = 2;

  FakeClock clock_;
  MetricRegistry registry_;
  CoordinatorMetrics metrics_{&registry_};
  Reporter reporter_{&clock_, &metrics_, kMembers};
};

TEST_F(ReporterTest, WritesDecisionsAtMostOnceASecondAndEveryChangeOfPhase) {
  Progress progress{.phase = Phase::kTraining, .step = 1, .steps = 100};
  EXPECT_TRUE(reporter_.WorthALine(progress));
  clock_.Advance(absl::Milliseconds(999));
  ++progress.step;
  EXPECT_FALSE(reporter_.WorthALine(progress));
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(reporter_.WorthALine(progress));
  EXPECT_FALSE(reporter_.WorthALine(progress));
  progress.phase = Phase::kEvaluating;
  EXPECT_TRUE(reporter_.WorthALine(progress));
  progress.phase = Phase::kGathering;
  EXPECT_TRUE(reporter_.WorthALine(progress));
  progress.waiting_for = "waiting for 1 of 2 workers";
  EXPECT_TRUE(reporter_.WorthALine(progress));
}

TEST_F(ReporterTest, WritesAFewHundredLinesAnHour) {
  Progress progress{.phase = Phase::kTraining, .step = 1, .steps = 1000000};
  const auto lines_of_an_hour = [&] {
    int lines = 0;
    for (int i = 0; i < 36000; ++i, ++progress.step, clock_.Advance(absl::Milliseconds(100))) {
      if (reporter_.WorthALine(progress)) ++lines;
    }
    return lines;
  };
  EXPECT_LE(lines_of_an_hour(), 660);
  EXPECT_LE(lines_of_an_hour(), 361);
  // Reports that are not about steps, in a verification after the last one.
  progress = {.phase = Phase::kEvaluating, .step = 9, .steps = 9};
  EXPECT_TRUE(reporter_.WorthALine(progress));
  EXPECT_FALSE(reporter_.WorthALine(progress));
}

TEST_F(ReporterTest, AlwaysWritesTheLastStepAndLeavesTheFailureToMain) {
  EXPECT_TRUE(reporter_.WorthALine({.phase = Phase::kTraining, .step = 99, .steps = 100}));
  EXPECT_TRUE(reporter_.WorthALine({.phase = Phase::kTraining, .step = 100, .steps = 100}));
  EXPECT_FALSE(
      reporter_.WorthALine({.phase = Phase::kFailed, .waiting_for = "worker 1 died", .step = 100, .steps = 100}));
}

TEST_F(ReporterTest, CountsStepsByOutcomeAndSamplesOfCommittedOnes) {
  reporter_.StepDecided({1, Outcome::kCommit, 128, absl::Seconds(1)});
  reporter_.StepDecided({2, Outcome::kSkip, 128, absl::Seconds(1)});
  reporter_.StepDecided({3, Outcome::kCommit, 100, absl::Seconds(1)});
  EXPECT_EQ(metrics_.steps.With(kCommitted).Value(), 2.0);
  EXPECT_EQ(metrics_.steps.With(kSkipped).Value(), 1.0);
  EXPECT_EQ(metrics_.samples.Value(), 228.0);
}

TEST_F(ReporterTest, ShowsTheViewAndTheLatestReport) {
  ViewAnnouncement view;
  view.view = {3, 1};
  view.shards.resize(2);
  view.workers.resize(1);
  reporter_.ViewFormed(view);
  reporter_.Report({.phase = Phase::kTraining, .step = 5, .steps = 10, .epoch = 0.5, .loss = 3.0, .lr = 0.1});
  EXPECT_EQ(metrics_.incarnation.Value(), 3.0);
  EXPECT_EQ(metrics_.members.With(kShardRole).Value(), 2.0);
  EXPECT_EQ(metrics_.members.With(kWorkerRole).Value(), 1.0);
  EXPECT_EQ(metrics_.loss.Value(), 3.0);
  EXPECT_EQ(metrics_.learning_rate.Value(), 0.1);
  EXPECT_EQ(metrics_.step.Value(), 5.0);
  EXPECT_EQ(metrics_.planned_steps.Value(), 10.0);
  EXPECT_EQ(metrics_.phase.With("training").Value(), 1.0);
  EXPECT_EQ(metrics_.phase.With("waiting").Value(), 0.0);
}

TEST_F(ReporterTest, CountsCheckpointsAndShowsTheNewestThatIsComplete) {
  reporter_.CheckpointSettled({.step = 4, .bytes = 100, .took = absl::Milliseconds(500)});
  clock_.Advance(absl::Seconds(100));
  reporter_.CheckpointSettled(
      {.step = 8, .status = absl::ResourceExhaustedError("the disk is full"), .bytes = 7, .took = absl::Seconds(1)});
  EXPECT_EQ(metrics_.checkpoints.With(kCheckpointComplete).Value(), 1);
  EXPECT_EQ(metrics_.checkpoints.With(kCheckpointFailed).Value(), 1);
  EXPECT_EQ(metrics_.checkpoint_step.Value(), 4);
  EXPECT_EQ(metrics_.checkpoint_bytes.Value(), 100);
  EXPECT_EQ(metrics_.checkpoint_timestamp.Value(), 1700000000);
  EXPECT_EQ(metrics_.checkpoint_duration.Collect().histogram.sample_sum, 0.5);
}

TEST_F(ReporterTest, CountsRecoveriesByWhatWasLost) {
  reporter_.Recovered({.lost = {{LostRole::kShard, "shard 1", "gone"}, {LostRole::kWorker, "worker 0", "gone"}},
                       .took = absl::Seconds(2),
                       .sentence = ""});
  reporter_.Recovered(
      {.lost = {{LostRole::kCoordinator, "the coordinator", ""}}, .took = absl::Seconds(1), .sentence = ""});
  reporter_.Recovered({.took = absl::Seconds(5), .sentence = "all members connect anew"});
  EXPECT_EQ(metrics_.recoveries.With(kShardRole).Value(), 1.0);
  EXPECT_EQ(metrics_.recoveries.With(kWorkerRole).Value(), 1.0);
  EXPECT_EQ(metrics_.recoveries.With(kCoordinatorRole).Value(), 1.0);
  EXPECT_EQ(metrics_.recovery.Collect().histogram.sample_sum, 3.0) << "nobody was lost in the last one";
}

TEST_F(ReporterTest, ShowsWhetherALossWouldCostStepsAndHowManyHaveBeenLost) {
  Progress progress{.phase = Phase::kRecovering, .step = 5, .steps = 10};
  progress.lost_steps = 3;
  reporter_.Report(progress);
  reporter_.Report(progress);
  EXPECT_EQ(metrics_.lost_steps.Value(), 3.0);
  EXPECT_EQ(metrics_.recoverable.Value(), 0.0);
  EXPECT_EQ(metrics_.phase.With("recovering").Value(), 1.0);
  progress.phase = Phase::kTraining;
  progress.lost_steps = 4;
  progress.recoverable = true;
  reporter_.Report(progress);
  EXPECT_EQ(metrics_.lost_steps.Value(), 4.0);
  EXPECT_EQ(metrics_.recoverable.Value(), 1.0);
  EXPECT_EQ(metrics_.phase.With("recovering").Value(), 0.0);
}

TEST_F(ReporterTest, ShowsAVerificationByItsSets) {
  Progress progress{.phase = Phase::kEvaluating, .step = 5, .steps = 10};
  VerificationReport set;
  set.name = "lfw";
  set.accuracy = 0.875;
  progress.verification = {set};
  progress.verification_step = 5;
  reporter_.Report(progress);
  EXPECT_EQ(metrics_.verification_accuracy.With("lfw").Value(), 0.875);
  EXPECT_EQ(metrics_.phase.With("verifying").Value(), 1.0);
}

// --- While the run gathers

// The log of a run whose participants say what a test tells them to.
class GatheringLogTest : public ReporterTest {
 protected:
  class Deaf final : public Session::Stream {
   public:
    void Send(const std::shared_ptr<const CoordinatorMessage>&) override {}
    void Close(const absl::Status&) override {}
  };

  static Run::Options OptionsOf(uint32_t members_of_a_role) {
    Run::Options options;
    options.config.cluster.shards = options.config.cluster.workers = members_of_a_role;
    options.config.data.batch_size = options.config.data.micro_batch_size = 64;
    options.incarnation = 1;
    return options;
  }
  Connection Register(Session* session, Role role) {
    const Connection connection = session->Attach(std::make_shared<Deaf>());
    session->Receive(
        connection,
        Registration{.role = role, .address = "h:1", .host = "h", .pid = ++pid_, .capacity_bytes = 1 << 30});
    if (role == Role::kWorker) session->Receive(connection, DatasetReport{.samples = 1000, .classes = 256});
    return connection;
  }
  void RegisterAndHangUp(Session* session, Role role) {
    session->Detach(Register(session, role), absl::CancelledError());
  }
  // What is logged until End.
  static void Begin() { ::testing::internal::CaptureStderr(); }
  static std::string End() { return ::testing::internal::GetCapturedStderr(); }
  static int Lines(const std::string& log) { return static_cast<int>(std::count(log.begin(), log.end(), '\n')); }

  int64_t pid_ = 0;
};

TEST_F(GatheringLogTest, WhoRegistersAndHangsUpAThousandTimesDoesNotFillIt) {
  constexpr int kAtOnce = Reporter::kGatheringLines + Reporter::kGatheringLinesOfAMember * static_cast<int>(kMembers);
  Begin();
  Session session(OptionsOf(kMembers / 2), &clock_, {.progress = &reporter_});
  for (int i = 0; i < 500; ++i) {
    RegisterAndHangUp(&session, Role::kWorker);
    RegisterAndHangUp(&session, Role::kShard);
  }
  EXPECT_EQ(Lines(End()), kAtOnce);
  Begin();
  for (int minute = 1; minute <= 10; ++minute) {
    clock_.Advance(absl::Minutes(1));
    for (int i = 0; i < 100; ++i) RegisterAndHangUp(&session, Role::kWorker);
  }
  const std::string later = End();
  EXPECT_LE(Lines(later), 10 * LineBudget::kLinesAMinute);
  EXPECT_THAT(later, HasSubstr("such lines before this one were not logged)"));
  // What members do is seen nevertheless.
  Begin();
  Register(&session, Role::kShard);
  Register(&session, Role::kWorker);
  EXPECT_THAT(End(), HasSubstr("view 1.1: 256 classes over 1 shards"));
}

TEST_F(GatheringLogTest, AStopIsLoggedWhateverStrangersDo) {
  Session session(OptionsOf(1), &clock_, {.progress = &reporter_});
  Begin();
  for (int i = 0; i < 100; ++i) RegisterAndHangUp(&session, Role::kShard);
  EXPECT_THAT(End(), Not(HasSubstr("a stop was requested")));
  Begin();
  session.RequestStop();
  EXPECT_THAT(End(), HasSubstr("a stop was requested"));
}

TEST_F(GatheringLogTest, EveryMemberOfALargeRunIsSeenToComeAlsoIfAllOfThemRestartOnce) {
  constexpr uint32_t kOfARole = 64;
  Reporter reporter(&clock_, &metrics_, 2 * kOfARole);
  Begin();
  Session session(OptionsOf(kOfARole + 1), &clock_, {.progress = &reporter});  // it is never complete
  for (uint32_t i = 0; i < kOfARole; ++i) {
    for (const Role role : {Role::kShard, Role::kWorker}) {
      RegisterAndHangUp(&session, role);
      Register(&session, role);
    }
  }
  const std::string log = End();
  for (int64_t pid = 1; pid <= pid_; ++pid) {
    EXPECT_TRUE(absl::StrContains(log, absl::StrCat(" (pid ", pid, " on h) has registered"))) << pid;
    if (pid % 2 == 0) continue;
    EXPECT_TRUE(absl::StrContains(log, absl::StrCat(" (pid ", pid, " on h) left before the run began"))) << pid;
  }
  EXPECT_THAT(log, Not(HasSubstr("were not logged")));
}

}  // namespace
}  // namespace arcshard::coordinator
