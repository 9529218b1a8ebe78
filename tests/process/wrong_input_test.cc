// Mistakes on the command line and in the configuration: each is reported in one sentence that names it, with an exit
// status other than 0, and no file is left behind.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/config/load_config.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "test_paths.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr int kFailed = 1;
constexpr int kUsage = 2;

class WrongInputTest : public ProcessTestBase {
 protected:
  // The error of `arcshard train` with `yaml` as run.yaml.
  std::string ErrorOfConfig(const std::string& yaml, const std::vector<std::string>& more = {}) {
    Write("run.yaml", yaml);
    std::vector<std::string> arguments = {"train", Path("run.yaml"), "--set", absl::StrCat("run.folder=", Path("run"))};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return ErrorOf("arcshard", arguments, kFailed);
  }
  std::set<std::string> Files(const std::string& folder) const {
    std::set<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename());
    return names;
  }
};

TEST_F(WrongInputTest, AMisspeltKeyIsNamedWithItsLineAndTheRightName) {
  EXPECT_THAT(ErrorOfConfig("data: {train: t}\nschedule:\n  epoch: 3\n"),
              AllOf(StartsWith(Path("run.yaml") + ":3: "), HasSubstr("schedule.epoch;"), HasSubstr("schedule.epochs")));
  EXPECT_THAT(Files(folder()), ElementsAre("run.yaml"));
}

TEST_F(WrongInputTest, AWrongTypeIsNamedWithItsLine) {
  EXPECT_THAT(ErrorOfConfig("data:\n  train: t\n  batch_size: many\n"),
              AllOf(StartsWith(Path("run.yaml") + ":3: "), HasSubstr("data.batch_size"), HasSubstr("many")));
  EXPECT_THAT(Files(folder()), ElementsAre("run.yaml"));
}

TEST_F(WrongInputTest, AScaleOutOfRangeIsRefusedWithTheReason) {
  EXPECT_THAT(
      ErrorOfConfig("data: {train: t}\nhead: {scale: 100}\n"),
      AllOf(StartsWith(Path("run.yaml") + ":2: "), HasSubstr("head.scale"), HasSubstr("80"), HasSubstr("float32")));
  EXPECT_THAT(Files(folder()), ElementsAre("run.yaml"));
}

TEST_F(WrongInputTest, AnOverrideOutOfRangeIsNamedAsSuch) {
  EXPECT_THAT(ErrorOfConfig("data: {train: t}\n", {"--set", "data.batch_size=0"}),
              AllOf(HasSubstr("--set data.batch_size=0"), HasSubstr("data.batch_size")));
}

TEST_F(WrongInputTest, AnotherFolderForARunThatResumesIsRefused) {
  EXPECT_THAT(ErrorOf("arcshard", {"train", "--resume", Path("run"), "--set", "run.folder=b"}, kUsage),
              StartsWith(absl::StrCat("--set run.folder=b cannot be given with --resume ", Path("run"), ": ")));
}

TEST_F(WrongInputTest, MissingFilesAreAllNamed) {
  EXPECT_THAT(ErrorOfConfig("data: {train: nowhere}\nverification: {sets: [lfw.bin]}\n"),
              AllOf(HasSubstr(Path("run.yaml")), HasSubstr(absl::StrCat("data.train: ", Path("nowhere"))),
                    HasSubstr(Path("lfw.bin"))));
  EXPECT_THAT(Files(folder()), ElementsAre("run.yaml"));
}

TEST_F(WrongInputTest, AMissingConfigurationIsNamed) {
  EXPECT_THAT(ErrorOf("arcshard", {"train", Path("none.yaml")}, kFailed), HasSubstr(Path("none.yaml")));
  EXPECT_THAT(ErrorOf("arcshard-coordinator", {"--config", Path("none.yaml")}, kFailed), HasSubstr(Path("none.yaml")));
}

TEST_F(WrongInputTest, TheCoordinatorRefusesAWrongKeyItself) {
  Write("run.yaml", "data: {train: t}\nclutser: {shards: 3}\n");
  EXPECT_THAT(ErrorOf("arcshard-coordinator", {"--config", Path("run.yaml")}, kFailed),
              AllOf(HasSubstr(Path("run.yaml") + ":2"), HasSubstr("cluster")));
  EXPECT_THAT(Files(folder()), ElementsAre("run.yaml"));
}

TEST_F(WrongInputTest, AWrongCommandOrOptionIsExplained) {
  EXPECT_EQ(ErrorOf("arcshard", {"trian", "run.yaml"}, kUsage), "'trian' is not a command; did you mean train?");
  EXPECT_THAT(ErrorOf("arcshard", {}, kUsage), HasSubstr("arcshard --help"));
  EXPECT_THAT(ErrorOf("arcshard", {"train", "run.yaml", "--shard", "2"}, kUsage),
              AllOf(HasSubstr("--shard"), HasSubstr("arcshard train --help")));
  EXPECT_THAT(ErrorOf("arcshard", {"train", "run.yaml", "--shards", "none"}, kUsage), HasSubstr("--shards"));
  EXPECT_THAT(ErrorOf("arcshard", {"train"}, kUsage), HasSubstr("or --resume with a run's folder"));
}

TEST_F(WrongInputTest, WrongArgumentsOfDataAreExplained) {
  EXPECT_EQ(ErrorOf("arcshard", {"data", "pakc", "a", "b"}, kUsage), "'pakc' is not a command; did you mean pack?");
  EXPECT_THAT(ErrorOf("arcshard", {"data", "pack", "a"}, kUsage),
              AllOf(HasSubstr("out is required"), HasSubstr("(see arcshard data pack --help)")));
  EXPECT_THAT(ErrorOf("arcshard", {"data", "pack", Path("none"), Path("out")}, kFailed), HasSubstr(Path("none")));
  EXPECT_THAT(Files(folder()), ElementsAre());

  std::filesystem::create_directories(Path("in/apple"));
  Write("in/apple/1.jpg", "no image");
  Program check = Start("arcshard", {"data", "check", Path("in")});
  EXPECT_EQ(check.AwaitEnd(), (cli::ProcessExit{.code = kFailed}));
  EXPECT_THAT(check.output(), HasSubstr("\ndamaged: 1 image\n  " + Path("in/apple/1.jpg: neither JPEG nor PNG")));
}

TEST_F(WrongInputTest, VerifyNamesTheFileThatIsMissing) {
  EXPECT_THAT(ErrorOf("arcshard", {"verify", Path("backbone.safetensors"), Path("lfw.bin")}, kFailed),
              HasSubstr(Path("backbone.safetensors")));
}

TEST_F(WrongInputTest, ACoordinatorThatDoesNotAnswerIsNamed) {
  LocalPort unused;
  unused.Close();
  for (const char* program : {"arcshard-shard", "arcshard-worker"}) {
    EXPECT_THAT(ErrorOf(program, {"--coordinator", unused.address(), "--connect-timeout", "200ms"}, kFailed),
                AllOf(HasSubstr("coordinator"), HasSubstr(unused.address()), HasSubstr("200ms")))
        << program;
  }
}

TEST_F(WrongInputTest, StatusOfNoRunSaysSo) {
  EXPECT_THAT(ErrorOf("arcshard", {"status"}, kUsage), HasSubstr("--coordinator host:port"));
  EXPECT_THAT(ErrorOf("arcshard", {"status", "run", "--coordinator", "h:1"}, kUsage), HasSubstr("--coordinator"));
  EXPECT_EQ(ErrorOf("arcshard", {"status", Path("run")}, kFailed), Path("run") + ": there is no such run folder");
  LocalPort unused;
  unused.Close();
  EXPECT_THAT(
      ErrorOf("arcshard", {"status", "--coordinator", unused.address(), "--timeout", "0.2"}, kFailed),
      StartsWith(absl::StrCat("waited 200ms for the coordinator at ", unused.address(), ", which does not answer")));
  std::filesystem::create_directories(Path("left"));
  Write("left/processes.json", absl::StrCat("{\"coordinator\": \"", unused.address(), "\"}"));
  EXPECT_THAT(ErrorOf("arcshard", {"status", Path("left")}, kFailed),
              StartsWith(Path("left") + ": no run of arcshard train is in progress here"));
}

TEST_F(WrongInputTest, AReportOfNoRunSaysWhatIsMissing) {
  EXPECT_THAT(ErrorOf("arcshard", {"report"}, kUsage), HasSubstr("run is required"));
  EXPECT_EQ(ErrorOf("arcshard", {"report", Path("run")}, kFailed), Path("run") + ": there is no such run folder");
  EXPECT_THAT(ErrorOf("arcshard", {"report", folder()}, kFailed), HasSubstr("has no metrics.jsonl"));
}

TEST_F(WrongInputTest, EmbedNamesWhatIsMissingOrNoImages) {
  const auto error = [this](const std::string& input) {
    return ErrorOf("arcshard",
                   {"embed", ARCSHARD_SOURCE_DIR "/tests/data/iresnet18_small.safetensors", input, Path("out")},
                   kFailed);
  };
  EXPECT_THAT(ErrorOf("arcshard", {"embed", Path("none"), Path("in"), Path("out")}, kFailed), HasSubstr(Path("none")));
  EXPECT_THAT(error(Path("in")), HasSubstr("iresnet18_small"));  // recorded for a test, without its architecture
  EXPECT_THAT(ErrorOf("arcshard", {"embed", Path("none")}, kUsage), HasSubstr("arcshard embed --help"));
}

TEST_F(WrongInputTest, APortInUseIsNamed) {
  const LocalPort used;
  SmallRun();
  EXPECT_THAT(ErrorOf("arcshard-coordinator", {"--config", Path("run.yaml"), "--listen", used.address()}, kFailed),
              AllOf(HasSubstr(used.address()), HasSubstr("in use")));
}

TEST_F(WrongInputTest, AFolderThatAnotherCoordinatorUsesIsNamed) {
  const std::vector<std::string> train = SmallRun();
  Program other = Start("arcshard-coordinator", {"--config", Path("run.yaml")});
  other.AwaitLine("listening on");
  EXPECT_THAT(ErrorOf("arcshard", train, kFailed),
              AllOf(StartsWith("arcshard-coordinator failed: "), HasSubstr(Path("run") + " is in use"),
                    HasSubstr("logs/coordinator-0.log")));
  other.Signal(SIGTERM);
  EXPECT_TRUE(other.AwaitEnd().ok());
}

TEST_F(WrongInputTest, ARangeLargerThanTheShardsMemoryIsRefusedWithTheFigures) {
  SmallRun();
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor from(ends[0]);
  FileDescriptor to(ends[1]);
  Program coordinator = Start("arcshard-coordinator",
                              {"--config", Path("run.yaml"), "--set", "cluster.shards=1", "--set", "cluster.workers=1",
                               "--set", "backbone.embedding_size=512", "--announce-fd", absl::StrCat(to.get())},
                              to.get());
  to = FileDescriptor();
  std::string line;
  for (char c; read(from.get(), &c, 1) == 1 && c != '\n';) line.push_back(c);
  const std::string address(absl::StripPrefix(line, "listening "));

  Program worker = Start("arcshard-worker", {"--coordinator", address});
  Program shard = Start("arcshard-shard", {"--coordinator", address, "--capacity-mb", "1"});
  for (Program* program : {&coordinator, &worker, &shard}) {
    EXPECT_EQ(program->AwaitEnd(), (cli::ProcessExit{.code = kFailed})) << program->output();
    EXPECT_THAT(program->output(), AllOf(HasSubstr("error: "), HasSubstr("964"), HasSubstr("MiB")));
  }
  EXPECT_FALSE(std::filesystem::exists(Path("run/model")));
}

TEST_F(WrongInputTest, ADryRunPrintsWhatItReadAndStartsNothing) {
  std::vector<std::string> arguments = SmallRun({"schedule.lr=0.25"});
  arguments.insert(arguments.end(), {"--shards", "3", "--dry-run"});
  Program program = Start("arcshard", arguments);
  EXPECT_TRUE(program.AwaitEnd().ok()) << program.output();
  const auto config = ParseRunConfig(program.output(), Path("printed.yaml"), {});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->schedule.lr, 0.25);
  EXPECT_EQ(config->cluster.shards, 3u);
  EXPECT_EQ(config->cluster.workers, 2u);
  EXPECT_FALSE(std::filesystem::exists(Path("run")));
}

TEST_F(WrongInputTest, AFullDiskBehindStdoutIsToldByTheStatus) {
  Write("run.yaml", "data: {format: synthetic}\nhead: {classes: 10}\n");
  for (const char* command :
       {"config", "--help", "--version", "train --help", "plan run.yaml", "train run.yaml --dry-run"}) {
    const int status = std::system(
        absl::StrCat("cd ", folder(), " && ", ARCSHARD_BIN_DIR, "/arcshard ", command, " >/dev/full 2>", Path("errors"))
            .c_str());
    EXPECT_EQ(WEXITSTATUS(status), kFailed) << command;
    EXPECT_EQ(*ReadFile(Path("errors")),
              "arcshard: error: stdout: what was printed could not be written: No space left on device\n")
        << command;
  }
  for (const char* program : {"arcshard-coordinator", "arcshard-shard", "arcshard-worker"}) {
    const int status =
        std::system(absl::StrCat(ARCSHARD_BIN_DIR, "/", program, " --help >/dev/full 2>", Path("errors")).c_str());
    EXPECT_EQ(WEXITSTATUS(status), kFailed) << program;
    EXPECT_THAT(*ReadFile(Path("errors")),
                HasSubstr("stdout: what was printed could not be written: No space left on device"))
        << program;
  }
}

TEST_F(WrongInputTest, AVariableThatGrpcDoesNotKnowEndsNoProgram) {
  for (const char* command : {"arcshard status --coordinator 127.0.0.1:1 --timeout 1",
                              "arcshard healthcheck coordinator --address 127.0.0.1:1 --timeout 1s",
                              "arcshard-shard --coordinator 127.0.0.1:1 --connect-timeout 1s",
                              "arcshard-worker --coordinator 127.0.0.1:1 --connect-timeout 1s"}) {
    const int status = std::system(
        absl::StrCat("GRPC_POLL_STRATEGY=none ", ARCSHARD_BIN_DIR, "/", command, " 2>", Path("errors")).c_str());
    EXPECT_EQ(WEXITSTATUS(status), kFailed) << command;
    EXPECT_THAT(*ReadFile(Path("errors")), HasSubstr("127.0.0.1:1")) << command;
  }
}

TEST_F(WrongInputTest, AHealthcheckThatCannotEndIsEnded) {
  int pipe[2];
  ASSERT_EQ(pipe2(pipe, O_NONBLOCK | O_CLOEXEC), 0);
  const FileDescriptor unread(pipe[0]), full(pipe[1]);
  while (write(full.get(), "x", 1) == 1) continue;
  // The shell tells of the signal too, but not through the pipe.
  const std::string check = absl::StrCat("(exec ", ARCSHARD_BIN_DIR,
                                         "/arcshard healthcheck worker --address 127.0.0.1:1 --timeout 1s 2>/proc/",
                                         getpid(), "/fd/", full.get(), "); exit $?");
  const int status = std::system(check.c_str());
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGALRM);
}

TEST_F(WrongInputTest, AHealthcheckOfNobodyIsExplained) {
  EXPECT_THAT(ErrorOf("arcshard", {"healthcheck"}, kUsage), HasSubstr("role is required"));
  EXPECT_THAT(ErrorOf("arcshard", {"healthcheck", "client"}, kUsage), HasSubstr("client not in {coordinator,"));
  EXPECT_THAT(ErrorOf("arcshard", {"healthcheck", "shard", "--address", "here"}, kUsage),
              HasSubstr("--address: 'here' is not host:port: there is no port (see arcshard healthcheck --help)"));
  for (const char* timeout : {"5", "0s", "-1s", "inf", "25h"}) {
    EXPECT_THAT(ErrorOf("arcshard", {"healthcheck", "shard", absl::StrCat("--timeout=", timeout)}, kUsage),
                HasSubstr(absl::StrCat("--timeout ", timeout, " is no duration such as 5s or 2m, up to 24h")));
  }
}

TEST_F(WrongInputTest, AnOptionThatCannotBeIsExplained) {
  EXPECT_THAT(ErrorOf("arcshard-worker", {"--coordinator", "127.0.0.1:1", "--all-reduce-interface", "lo"}, kUsage),
              HasSubstr("--all-reduce-interface: 'lo' is the name of a network interface; give the address"));
  EXPECT_THAT(ErrorOf("arcshard-shard", {"--coordinator", "127.0.0.1:1", "--capacity-mb", "0"}, kUsage),
              HasSubstr("--capacity-mb: '0' is not a number that is above 0"));
}

TEST_F(WrongInputTest, AllKeysAndTheVersionAreTold) {
  Program config = Start("arcshard", {"config"});
  EXPECT_TRUE(config.AwaitEnd().ok());
  EXPECT_EQ(config.output(), ConfigHelp());
  Program version = Start("arcshard", {"--version"});
  EXPECT_TRUE(version.AwaitEnd().ok());
  EXPECT_THAT(version.output(), StartsWith("arcshard "));
}

}  // namespace
}  // namespace arcshard
