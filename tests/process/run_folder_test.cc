// What real processes leave in the run's folder when a start is refused, a verification is bad or interrupted, or the
// folder goes away.
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/io/log_file.h"
#include "gmock/gmock.h"
#include "test_paths.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kFailed = 1;
constexpr char kData[] = ARCSHARD_SOURCE_DIR "/examples/omniglot/data";
constexpr char kSet[] = ARCSHARD_SOURCE_DIR "/examples/omniglot/data/unseen_alphabets.bin";

class RunFolderProcessTest : public ProcessTestBase {
 protected:
  std::vector<std::string> Resume(const std::vector<std::string>& overrides = {}) const {
    return With({"train", "--resume", Path("run")}, overrides);
  }
  static std::vector<std::string> With(std::vector<std::string> arguments, const std::vector<std::string>& overrides) {
    for (const std::string& override : overrides) arguments.insert(arguments.end(), {"--set", override});
    return arguments;
  }
  // A run of 5 steps, to its end.
  void TrainToTheEnd() const {
    Program run = Start("arcshard", SmallRun({"schedule.epochs=0.004"}));
    ASSERT_TRUE(run.AwaitEnd().ok()) << run.output();
    ASSERT_THAT(CheckpointSteps(Path("run")), ElementsAre(5u));
  }
  std::string Read(const std::string& name) const { return ReadFile(Path(name)).value_or("(there is no such file)"); }
  static std::string LogOf(const std::string& process) { return absl::StrCat("run/logs/", process, ".log"); }
  // A verification set of 12,000 small pictures, this many times.
  static std::string KnownSets(int count) {
    return absl::StrCat("verification.sets=[", absl::StrJoin(std::vector<std::string>(count, kSet), ", "), "]");
  }
  // A run that has begun a verification after step 3 that takes some ten seconds where nothing else runs.
  Program StartLongVerification() const {
    Program run = Start("arcshard", SmallRun({KnownSets(4), "verification.every_epochs=0.0025",
                                              "checkpoint.every_minutes=0", "cluster.worker_threads=1"}));
    run.AwaitLine("verifying after step 3");
    return run;
  }
  // A verification set whose picture 3 is none.
  std::string DamagedSet() const {
    std::string pickle = *ReadFile(kSet);
    size_t at = 0;
    for (int picture = 0; picture <= 3; ++picture) at = pickle.find("\x89PNG", at + 1);
    EXPECT_NE(at, std::string::npos);
    pickle[at + 1] = 'X';
    Write("damaged.bin", pickle);
    return Path("damaged.bin");
  }
};

TEST_F(RunFolderProcessTest, AResumeThatAMemberRefusesLeavesNoTraceButInTheLogs) {
  TrainToTheEnd();
  const std::string before = Read("run/config.yaml"), first_life = Read("run/logs/worker-0.log");
  Write("no_weights", "nothing");
  Program refused =
      Start("arcshard", Resume({"schedule.epochs=0.008", absl::StrCat("loss.class_weights=", Path("no_weights"))}));
  EXPECT_EQ(refused.AwaitEnd(), (cli::ProcessExit{.code = kFailed})) << refused.output();
  EXPECT_THAT(refused.output(),
              AllOf(HasSubstr("changed since the checkpoint of step 5: schedule.epochs is 0.008, was"),
                    HasSubstr("no_weights: ")));
  EXPECT_EQ(Read("run/config.yaml"), before);
  EXPECT_THAT(Read("run/logs/worker-0.log"), ::testing::StartsWith(first_life));

  Program again = Start("arcshard", Resume({"schedule.epochs=0.008"}));
  EXPECT_TRUE(again.AwaitEnd().ok()) << again.output();
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(10u, 5u));
  EXPECT_THAT(Read("run/config.yaml"), HasSubstr("epochs: 0.008"));

  // Its setting stays with the run now, since there is a checkpoint that was taken under it.
  Program plain = Start("arcshard", Resume());
  EXPECT_TRUE(plain.AwaitEnd().ok()) << plain.output();
  EXPECT_THAT(plain.output(), AllOf(HasSubstr("all 10 of 10 steps"), Not(HasSubstr("changed since"))));
}

TEST_F(RunFolderProcessTest, ARestartThatAMemberRefusesMovesNothing) {
  TrainToTheEnd();
  const std::string before = Read("run/config.yaml");
  Write("no_weights", "nothing");
  std::vector<std::string> restart = SmallRun({absl::StrCat("loss.class_weights=", Path("no_weights"))});
  restart.push_back("--restart");
  Program refused = Start("arcshard", restart);
  EXPECT_EQ(refused.AwaitEnd(), (cli::ProcessExit{.code = kFailed})) << refused.output();
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(5u));
  EXPECT_EQ(Read("run/config.yaml"), before);
}

TEST_F(RunFolderProcessTest, AFolderWhoseNameIsNotUtf8HoldsARunThatEndsAndResumes) {
  std::filesystem::create_directories(Path("w\xe4"));
  const std::string data = Path("w\xe4/data"), folder = Path("w\xe4/run");
  std::filesystem::create_directory_symlink(kData, data);
  Program run = Start("arcshard", SmallRun({absl::StrCat("run.folder=", folder), absl::StrCat("data.train=", data),
                                            "schedule.epochs=0.004"}));
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(CheckpointSteps(folder), ElementsAre(5u));
  Program resumed = Start("arcshard", With({"train", "--resume", folder}, {"schedule.epochs=0.008"}));
  EXPECT_TRUE(resumed.AwaitEnd().ok()) << resumed.output();
  EXPECT_THAT(resumed.output(), HasSubstr("changed since the checkpoint of step 5: schedule.epochs is 0.008, was"));
  EXPECT_THAT(CheckpointSteps(folder), ElementsAre(10u, 5u));
  for (const std::vector<std::string>& question : std::vector<std::vector<std::string>>{
           {"status", folder, "--json"}, {"report", folder}, {"checkpoint", "verify", folder}}) {
    Program told = Start("arcshard", question);
    EXPECT_TRUE(told.AwaitEnd().ok()) << told.output();
  }
}

TEST_F(RunFolderProcessTest, ABadVerificationSetIsToldBeforeTheFirstStep) {
  Program run = Start("arcshard", SmallRun({absl::StrCat("verification.sets=[", DamagedSet(), "]")}));
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = kFailed})) << run.output();
  EXPECT_THAT(run.output(), AllOf(HasSubstr(Path("damaged.bin") + ": image 3: "),
                                  HasSubstr("leave it out of verification.sets"), Not(HasSubstr("  step "))));
}

TEST_F(RunFolderProcessTest, AStopDuringAVerificationEndsItAndKeepsEveryStep) {
  Program run = StartLongVerification();
  run.Signal(SIGINT);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("stopping without the rest of the verification, with a checkpoint"));
  EXPECT_THAT(Read(LogOf("coordinator-0")), HasSubstr("the verification after step 3 is abandoned"));
  for (const char* const worker : {"worker-0", "worker-1"}) {
    EXPECT_THAT(Read(LogOf(worker)), Not(HasSubstr("accuracy"))) << "it has verified to the end";
  }
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(3u));
}

TEST_F(RunFolderProcessTest, ACheckpointIsTakenDuringAVerification) {
  Program run = StartLongVerification();
  Program take = Start("arcshard", {"checkpoint", "take", Path("run")});
  EXPECT_TRUE(take.AwaitEnd().ok()) << take.output();
  EXPECT_THAT(take.output(), HasSubstr(": complete, of step 3\n"));
  EXPECT_THAT(CheckpointSteps(Path("run")), ElementsAre(3u));
  run.Signal(SIGINT);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(Read(LogOf("coordinator-0")), HasSubstr("the verification after step 3 is abandoned"))
      << "it had ended before the checkpoint";
}

TEST_F(RunFolderProcessTest, AStopWhileTheVerificationSetsAreCheckedEndsTheCheck) {
  Program run =
      Start("arcshard", SmallRun({KnownSets(25), "cluster.workers=1", "cluster.worker_threads=1"}));  // 300,000 images
  run.AwaitLine(" to join");
  run.Signal(SIGINT);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("stopping before the next step (interrupt again to stop at once)\n"));
  EXPECT_THAT(Read(LogOf("worker-0")),
              AllOf(HasSubstr("checking the verification sets: 300000 images"),
                    HasSubstr("the check of the verification sets is abandoned: the run is to stop")));
}

TEST_F(RunFolderProcessTest, LogsThatGoAwayMeanwhileAreBegunAnewAndTheEndSaysSo) {
  Program run = Start("arcshard", SmallRun());
  run.AwaitLine("  step ");
  std::filesystem::rename(Path("run/logs"), Path("gone"));
  run.Signal(SIGINT);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(),
              AllOf(HasSubstr("stopped in order: trained "),
                    HasSubstr(Path("run") + "/logs was deleted or moved during the run: earlier lines are gone")));
}

TEST_F(RunFolderProcessTest, AFullLogIsPutAsideAndOneThatIsRenamedMeanwhileBegunAgain) {
  std::filesystem::create_directories(Path("run/logs"));
  const std::vector<std::string> processes = {"coordinator-0", "shard-0", "shard-1", "worker-0", "worker-1"};
  for (const std::string& process : processes) {
    Write(LogOf(process), "an earlier life\n");
    std::filesystem::resize_file(Path(LogOf(process)), LogFile::kMostBytes);
  }
  Program run = Start("arcshard", SmallRun());
  run.AwaitLine("  step ");
  for (const std::string& process : processes) {
    EXPECT_EQ(Read(LogOf(process) + ".1").substr(0, 16), "an earlier life\n") << process;
    ASSERT_LT(std::filesystem::file_size(Path(LogOf(process))), LogFile::kMostBytes) << process;
    EXPECT_THAT(Read(LogOf(process)), HasSubstr("metrics on port ")) << process;
    std::filesystem::rename(Path(LogOf(process)), Path(LogOf(process) + ".mine"));
  }
  kill(Listing::Of(Path("run")).Find("worker", 0).pid, SIGTERM);
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = 128 + SIGTERM})) << run.output();
  EXPECT_THAT(Read(LogOf("worker-0")), HasSubstr("SIGTERM has told this process to end"));
  EXPECT_THAT(Read(LogOf("coordinator-0")), HasSubstr("was told to end by SIGTERM"));
}

TEST_F(RunFolderProcessTest, AFolderThatGoesAwayMeanwhileIsNamedAndTheLastStateKeptInANewOne) {
  Program run = Start("arcshard", SmallRun());
  run.AwaitLine("  step ");
  std::filesystem::rename(Path("run"), Path("gone"));  // at once; rm would meet with files that appear meanwhile
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = kFailed})) << run.output();
  EXPECT_THAT(run.output(), HasSubstr(Path("run") + " was deleted, moved or emptied while the run was in progress"));
  ASSERT_EQ(CheckpointSteps(Path("run")).size(), 1u) << run.output();
  EXPECT_TRUE(std::filesystem::exists(Path("run/model/backbone.safetensors")));
  const uint64_t step = CheckpointSteps(Path("run"))[0];
  EXPECT_THAT(run.output(), HasSubstr(absl::StrCat("the newest checkpoint is of step ", step,
                                                   "; to resume: arcshard train --resume ", Path("run"))));
  Program resumed = Start("arcshard", Resume());
  resumed.AwaitLine("  step ");
  resumed.Signal(SIGINT);
  EXPECT_TRUE(resumed.AwaitEnd().ok()) << resumed.output();
}

}  // namespace
}  // namespace arcshard
