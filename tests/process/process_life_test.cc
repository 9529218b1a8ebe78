// A run of real processes, and how it ends when a process dies that is not started again, or the user stops it.
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest-spi.h"
#include "test_paths.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr rlim_t kFewDescriptors = 256;
constexpr rlim_t kMostDescriptors = rlim_t{1} << 20;  // to which a higher limit is not raised (descriptors.h)

class ProcessLifeTest : public ProcessTestBase {
 protected:
  // Starts a run and returns once its steps advance. restarts: how often each process may be started again.
  Program StartTraining(const std::vector<std::string>& overrides = {}, int restarts = 5) {
    std::vector<std::string> arguments = SmallRun(overrides);
    arguments.push_back(absl::StrCat("--max-restarts=", restarts));
    Program run = Start("arcshard", arguments);
    run.AwaitLine("  step ");
    listing_ = Listing::Of(Path("run"));
    auto watch = cli::WatchClient::Start(listing_.coordinator);
    EXPECT_TRUE(watch.ok()) << watch.status();
    watch_ = *std::move(watch);
    AwaitSteps(watch_.get(), 3);
    return run;
  }

  void ExpectNothingIsLeft() {
    for (const Listing::Entry& process : listing_.processes) {
      EXPECT_EQ(kill(process.pid, 0), -1) << process.role << " " << process.index << " still runs";
    }
    EXPECT_FALSE(Answers(listing_.coordinator));
    EXPECT_FALSE(std::filesystem::exists(Path("run/processes.json")));
    for (const auto& entry : std::filesystem::recursive_directory_iterator(Path("run"))) {
      EXPECT_THAT(entry.path().string(), Not(HasSubstr(".tmp")));
    }
  }

  // The death of a process that is not started again.
  void ADeathEndsTheRun(const std::string& role, uint32_t index, const std::string& name) {
    Program run = StartTraining({}, /*restarts=*/0);
    const Listing::Entry victim = listing_.Find(role, index);
    const MonotonicTime death = SystemClock().Now();
    ASSERT_EQ(kill(victim.pid, SIGKILL), 0);
    EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = 128 + SIGKILL}));
    EXPECT_LT(SystemClock().Now() - death, kPatience);
    EXPECT_THAT(run.output(),
                AllOf(HasSubstr(absl::StrCat("arcshard: error: ", name, " was killed by signal 9 (SIGKILL): memory ")),
                      HasSubstr(absl::StrCat("; its log is ", victim.log, "\n"))));
    ExpectNothingIsLeft();
    EXPECT_FALSE(std::filesystem::exists(Path("run/model/backbone.safetensors")));
  }

  // Starts a program with a soft limit of descriptors that is below the hard one.
  Program StartWithFewDescriptors(const std::string& program, const std::vector<std::string>& arguments) const {
    rlimit before = {};
    EXPECT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_GT(before.rlim_max, kFewDescriptors);
    const rlimit few = {kFewDescriptors, before.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);  // the program inherits it
    Program started = Start(program, arguments);
    EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    return started;
  }

  // Runs a script with `argument` and returns what it prints.
  std::string Python(const std::string& script, const std::string& argument) {
    std::filesystem::remove(Path("python.log"));  // a log is appended to
    auto python = cli::Process::Start({.program = ARCSHARD_SOURCE_DIR "/.deps/python/bin/python",
                                       .arguments = {"-c", script, argument},
                                       .environment = {},
                                       .log = Path("python.log")});
    EXPECT_TRUE(python.ok()) << python.status();
    AwaitDeath((*python)->pid());
    EXPECT_TRUE((*python)->Poll().value().ok());
    return ReadFile(Path("python.log")).value_or("none");
  }

  // Expects that arcshard status shows the run, which is in progress.
  void ExpectStatus() {
    Program text = Start("arcshard", {"status", Path("run"), "--timeout", "600"});
    EXPECT_TRUE(text.AwaitEnd().ok()) << text.output();
    EXPECT_THAT(text.output(),
                AllOf(HasSubstr(absl::StrCat("run ", Path("run"), ", coordinator ", listing_.coordinator)),
                      ContainsRegex("\nepoch .*step [0-9]+/.*loss"),
                      ContainsRegex("\nshard 1 +[0-9]+ .*\\[[0-9]+, 964\\)"), ContainsRegex("\nworker 1 +[0-9]+ ")));
    Program json = Start("arcshard", {"status", "--coordinator", listing_.coordinator, "--json", "--timeout", "600"});
    EXPECT_TRUE(json.AwaitEnd().ok()) << json.output();
    for (const char* role : {"shard", "worker"}) {
      EXPECT_THAT(json.output(), HasSubstr(absl::StrCat("\"pid\": ", listing_.Find(role, 0).pid))) << role;
    }
  }

  Listing listing_;
  std::unique_ptr<cli::WatchClient> watch_;
};

TEST_F(ProcessLifeTest, WithoutRestartsTheDeathOfAShardEndsTheRun) { ADeathEndsTheRun("shard", 1, "arcshard-shard 1"); }

TEST_F(ProcessLifeTest, WithoutRestartsTheDeathOfAWorkerEndsTheRun) {
  ADeathEndsTheRun("worker", 1, "arcshard-worker 1");
}

TEST_F(ProcessLifeTest, WithoutRestartsTheDeathOfTheLowestWorkerEndsTheRun) {
  ADeathEndsTheRun("worker", 0, "arcshard-worker 0");
}

TEST_F(ProcessLifeTest, WithoutRestartsTheDeathOfTheCoordinatorEndsTheRun) {
  ADeathEndsTheRun("coordinator", 0, "arcshard-coordinator");
}

TEST_F(ProcessLifeTest, AProcessThatDiesAgainAndAgainEndsTheRun) {
  Program run = StartTraining({}, /*restarts=*/2);
  for (int death = 0; death < 2; ++death) {
    ASSERT_EQ(kill(Listing::Of(Path("run")).Find("shard", 1).pid, SIGKILL), 0);
    run.AwaitLine("the run goes on after step ");
  }
  listing_ = Listing::Of(Path("run"));
  ASSERT_EQ(kill(listing_.Find("shard", 1).pid, SIGKILL), 0);
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = 128 + SIGKILL})) << run.output();
  EXPECT_THAT(run.output(),
              AllOf(HasSubstr("; it is started again at once (restart 1 of at most 2 within 10m)\n"),
                    HasSubstr("; it is started again in 1s (restart 2 of at most 2 within 10m)\n"),
                    ContainsRegex("arcshard: error: arcshard-shard 1 was killed by signal 9 .*; it had been started "
                                  "again 2 times within 10m \\(--max-restarts\\); its log is ")));
  ExpectNothingIsLeft();
}

TEST_F(ProcessLifeTest, TheDeathOfTheLauncherEndsEveryProcess) {
  Program run = StartTraining();
  run.Signal(SIGKILL);
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.signal = SIGKILL}));
  AwaitEndOfReports(watch_.get());
  for (const Listing::Entry& process : listing_.processes) AwaitDeath(process.pid);
  EXPECT_FALSE(Answers(listing_.coordinator));

  EXPECT_TRUE(std::filesystem::exists(Path("run/processes.json"))) << "nobody was left to remove it";
  Program status = Start("arcshard", {"status", Path("run"), "--json"});
  EXPECT_EQ(status.AwaitEnd(), (cli::ProcessExit{.code = 1})) << status.output();
  EXPECT_THAT(status.output(), HasSubstr("\"outcome\": \"interrupted\""));
  EXPECT_THAT(status.output(), HasSubstr("was interrupted: no process of it lives"));
}

TEST_F(ProcessLifeTest, ATestThatWaitsForStepsFailsOnceAProcessHasCrashed) {
  Program run = StartTraining({}, /*restarts=*/0);
  ASSERT_EQ(kill(listing_.Find("worker", 1).pid, SIGSEGV), 0);
  EXPECT_NONFATAL_FAILURE(AwaitSteps(watch_.get(), 1'000'000'000), "the run has ended after step ");
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = 128 + SIGSEGV})) << run.output();
}

TEST_F(ProcessLifeTest, AProcessThatHangsIsFoundByItsSilenceAndTheRunWaitsForItUntilItGivesUp) {
  Program run = StartTraining({"cluster.heartbeat_interval=500ms", "cluster.heartbeat_timeout=5s",
                               "cluster.rejoin_grace=1s", "cluster.rejoin_timeout=2s"});
  const Listing::Entry victim = listing_.Find("shard", 0);
  ASSERT_EQ(kill(victim.pid, SIGSTOP), 0);
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = 1})) << run.output();
  const std::string name =
      absl::StrCat("\\(pid ", victim.pid, " on [^)]*\\) was lost at step [0-9]+: no sign of life for ");
  EXPECT_THAT(run.output(), AllOf(ContainsRegex(absl::StrCat("\nrecovering: shard [01] ", name)),
                                  ContainsRegex(absl::StrCat("arcshard: error: .*gave up after 2s \\(cluster.rejoin_"
                                                             "timeout\\), still waiting for 1 of 2 shards; shard [01] ",
                                                             name))));
  ExpectNothingIsLeft();
}

TEST_F(ProcessLifeTest, InterruptedOnceItEndsInOrderAndLeavesTheBackbone) {
  Program run = StartTraining();
  ExpectStatus();
  run.Signal(SIGINT);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(),
              AllOf(HasSubstr("stopping after the current step, with a checkpoint (interrupt again to stop at once)\n"),
                    ContainsRegex("stopped in order: trained [0-9]+ of [0-9]+ steps"),
                    HasSubstr(Path("run/model/backbone.safetensors"))));
  ExpectNothingIsLeft();

  Program status = Start("arcshard", {"status", Path("run")});
  EXPECT_TRUE(status.AwaitEnd().ok()) << status.output();
  EXPECT_THAT(status.output(), AllOf(HasSubstr(absl::StrCat("run ", Path("run"), ": stopped\nstep ")),
                                     HasSubstr(absl::StrCat("backbone: ", Path("run/model/backbone.safetensors")))));

  // InsightFace's iresnet18 has 187 entries in its state dict.
  const std::string script =
      "import sys; from safetensors.numpy import load_file; m = load_file(sys.argv[1]); "
      "print(len(m), m['features.weight'].tolist() == [1] * 32)";
  EXPECT_EQ(Python(script, Path("run/model/backbone.safetensors")), "187 True\n");

  Program verify = Start("arcshard", {"verify", Path("run/model/backbone.safetensors"),
                                      ARCSHARD_SOURCE_DIR "/examples/omniglot/data/unseen_alphabets.bin"});
  EXPECT_TRUE(verify.AwaitEnd().ok()) << verify.output();
  EXPECT_THAT(verify.output(),
              ContainsRegex("^unseen_alphabets: accuracy 0\\.[0-9]{4} ± 0\\.[0-9]{4} \\(threshold [0-9.]+, xnorm "
                            "[0-9.]+, 6000 pairs\\)\n  all pairs: accuracy 0\\.[0-9]{4} \\(threshold [0-9.]+\\), "
                            "TAR 0\\.[0-9]{4} at FAR 1e-3 .*, 0\\.[0-9]{4} at FAR 1e-4 .*\n$"));

  Program embed = Start("arcshard", {"embed", Path("run/model/backbone.safetensors"),
                                     ARCSHARD_SOURCE_DIR "/examples/grocery/data", Path("embeddings.safetensors")});
  EXPECT_TRUE(embed.AwaitEnd().ok()) << embed.output();
  const std::string look =
      "import json, sys; from safetensors.numpy import load_file; m = load_file(sys.argv[1]); "
      "n = json.loads(bytes(m['names'])); print(m['embeddings'].shape == (len(n), 32), m['labels'].shape == (len(n),), "
      "n[0])";
  EXPECT_THAT(Python(look, Path("embeddings.safetensors")), ::testing::MatchesRegex("True True record [0-9]+\n"));
}

TEST_F(ProcessLifeTest, InterruptedTwiceItEndsAtOnce) {
  Program run = StartTraining();
  ASSERT_EQ(kill(listing_.Find("worker", 1).pid, SIGSTOP), 0);  // so that the current step does not end
  run.Signal(SIGINT);
  run.AwaitLine("interrupt again to stop at once");
  run.Signal(SIGINT);
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = 130}));
  ExpectNothingIsLeft();
}

TEST_F(ProcessLifeTest, InterruptedWhileItWaitsItEndsInOrder) {
  Program run = Start("arcshard", SmallRun());
  run.AwaitLine("waiting for");
  run.Signal(SIGTERM);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("stopped before the first step\n"));
}

TEST_F(ProcessLifeTest, EveryProgramRaisesItsLimitOfDescriptorsWhenItStarts) {
  struct Case {
    std::string program;
    std::vector<std::string> arguments;
    std::string line;  // one that it prints later
  };
  const LocalPort nobody;
  const std::vector<std::string> train = SmallRun();
  const std::vector<Case> cases = {
      {"arcshard", train, "waiting for"},
      {"arcshard-coordinator", {"--config", Path("run.yaml")}, "listening on "},
      {"arcshard-shard", {"--coordinator", nobody.address()}, "waiting for the coordinator"},
      {"arcshard-worker", {"--coordinator", nobody.address()}, "waiting for the coordinator"},
  };
  for (const Case& each : cases) {
    Program program = StartWithFewDescriptors(each.program, each.arguments);
    program.AwaitLine(each.line);
    rlimit limit = {};
    EXPECT_EQ(prlimit(program.pid(), RLIMIT_NOFILE, nullptr, &limit), 0);
    EXPECT_EQ(limit.rlim_cur, std::min(limit.rlim_max, kMostDescriptors)) << each.program;
    program.Signal(SIGTERM);
    program.AwaitEnd();
  }
}

TEST_F(ProcessLifeTest, AWorkerThatCannotReadItsDataIsNamed) {
  SmallRun();
  std::filesystem::copy(ARCSHARD_SOURCE_DIR "/examples/omniglot/data", Path("data"));
  std::filesystem::resize_file(Path("data/train.rec"), 1 << 20);
  Program run = Start("arcshard", SmallRun({absl::StrCat("data.train=", Path("data"))}));
  EXPECT_EQ(run.AwaitEnd(), (cli::ProcessExit{.code = 1}));
  EXPECT_THAT(run.output(), ContainsRegex(absl::StrCat("arcshard: error: arcshard-worker [01] failed: .*", Path("data"),
                                                       ".*; its log is .*/worker-[01].log\n")));
}

TEST_F(ProcessLifeTest, AShortRunEndsWithItsVerification) {
  Program run = Start("arcshard", SmallRun({"schedule.epochs=0.01", "verification.sets=[" ARCSHARD_SOURCE_DIR
                                                                    "/examples/omniglot/data/unseen_alphabets.bin]"}));
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(), HasSubstr(absl::StrCat("run folder: ", Path("run"), " (")));
  EXPECT_THAT(run.output(), HasSubstr("training set: " ARCSHARD_SOURCE_DIR "/"));
  EXPECT_THAT(
      run.output(),
      ContainsRegex("\ntrained 12 of 12 steps .* in [0-9ms]+\nstep 12 unseen_alphabets: accuracy "
                    "0\\.[0-9]{4} ± 0\\.[0-9]{4} \\(threshold [0-9.]+, xnorm [0-9.]+, 6000 pairs\\), best so far\n"
                    "  all pairs: .*\nbackbone: .*\na page about this run: arcshard report "));

  Program report = Start("arcshard", {"report", Path("run"), "-o", Path("report.html")});
  EXPECT_TRUE(report.AwaitEnd().ok()) << report.output();
  EXPECT_EQ(report.output(), absl::StrCat("report: ", Path("report.html"), "\n"));
  const std::string page = ReadFile(Path("report.html")).value_or("");
  EXPECT_THAT(page, AllOf(HasSubstr("<span class=\"outcome finished\">finished</span>"), HasSubstr("[0, 482)"),
                          HasSubstr("unseen_alphabets")));
}

TEST_F(ProcessLifeTest, AQuietRunPrintsNothingAndVerifiesAsOftenAndUnderTheNameThatWasAskedFor) {
  Program pairs = Start("arcshard", {"data", "pairs", ARCSHARD_SOURCE_DIR "/examples/omniglot/data", Path("few.bin"),
                                     "--pairs", "20", "--folds", "2"});
  EXPECT_TRUE(pairs.AwaitEnd().ok()) << pairs.output();
  std::vector<std::string> arguments =
      SmallRun({"schedule.epochs=0.01", absl::StrCat("verification.sets=[", Path("few.bin"), "]"),
                "verification.names=[strangers]", "verification.every_steps=5", "run.tensorboard=true"});
  arguments.push_back("--quiet");
  Program run = Start("arcshard", arguments);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_EQ(run.output(), "");
  const std::string log = ReadFile(Path("run/metrics.jsonl")).value_or("");
  for (const int step : {5, 10, 12}) {
    EXPECT_THAT(log, ContainsRegex(absl::StrCat("\"kind\":\"verification\",[^\n]*\"step\":", step,
                                                ",\"sets\":\\[\\{\"name\":\"strangers\"")));
  }
  const std::filesystem::directory_iterator events(Path("run/tensorboard"));
  EXPECT_THAT(ReadFile(events->path().string()).value_or(""), HasSubstr("verification/strangers/accuracy"));
}

TEST_F(ProcessLifeTest, WithKeptBatchesEachEpochTakesEverySampleOnceAlsoOneThatIsLeftOverAlone) {
  Program run = Start(
      "arcshard", SmallRun({"data.format=synthetic", "data.synthetic_samples=9", "head.classes=5", "data.batch_size=4",
                            "data.last_batch=keep", "data.log_samples=true", "schedule.epochs=2"}));
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(), HasSubstr("\ntrained 4 of 4 steps"));
  std::map<std::string, int> times;  // a sample's number -> how often it was taken
  for (const int worker : {0, 1}) {
    const std::string log = ReadFile(Path(absl::StrCat("run/logs/samples-worker-", worker, ".jsonl"))).value_or("");
    for (const absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
      const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, "\"samples\":[");
      for (const absl::string_view sample : absl::StrSplit(absl::StripSuffix(parts.second, "]}"), ',')) {
        ++times[std::string(sample)];
      }
    }
  }
  EXPECT_EQ(times.size(), 9u);
  for (const auto& [sample, count] : times) EXPECT_EQ(count, 2) << sample;
}

}  // namespace
}  // namespace arcshard
