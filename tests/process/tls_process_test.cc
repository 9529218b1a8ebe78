// The real programs with TLS between them: a run by hand, its certificates renewed while it trains, its healthchecks.
#include <poll.h>

#include <csignal>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/process/testing/process_kit.h"
#include "tests/testing/certificates.h"

namespace arcshard {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class TlsProcessTest : public ProcessTestBase {
 protected:
  using Arguments = std::vector<std::string>;

  Arguments With(Arguments arguments, CertifiedRole role) const {
    const TlsFiles files = certificates_.FilesOf(role);
    arguments.insert(arguments.end(), {"--tls-ca", files.ca, "--tls-cert", files.certificate, "--tls-key", files.key});
    return arguments;
  }
  // Waits for a line with `mark` and returns what follows the mark, up to the next comma or the end of the line.
  static std::string After(Program& program, const std::string& mark) {
    const std::string line = program.AwaitLine(mark);
    const size_t begin = line.find(mark) + mark.size();
    return line.substr(begin, line.find(',', begin) - begin);
  }
  void ExpectHealthy(const std::string& role, const std::string& address) {
    Program asks = Start(
        "arcshard", With({"healthcheck", role, "--address", address, "--timeout", "600s"}, CertifiedRole::kClient));
    EXPECT_EQ(asks.AwaitEnd(), cli::ProcessExit()) << asks.output();
  }
  // Expects that `run` with a timeout returns a sentence with `reason`. A program waits as long as it is told, and on a
  // busy machine it may not learn the reason in a short time.
  template <typename Run>
  static void ExpectErrorInTime(const std::string& reason, const Run& run) {
    std::string error;
    for (int seconds = 5; seconds < 600 && error.find(reason) == std::string::npos; seconds *= 4) {
      error = run(absl::StrCat(seconds, "s"));
    }
    EXPECT_THAT(error, HasSubstr(reason));
  }
  Program StartCoordinator() {
    SmallRun();
    return Start("arcshard-coordinator",
                 With({"--config", Path("run.yaml"), "--listen", "127.0.0.1:0"}, CertifiedRole::kCoordinator));
  }

  const TestCertificates certificates_;
};

TEST_F(TlsProcessTest, RenewingCertificatesLosesNoStep) {
  Program coordinator = StartCoordinator();
  const std::string address = After(coordinator, "listening on ");
  const Arguments shard = With({"--coordinator", address, "--listen", "0.0.0.0:0"}, CertifiedRole::kShard);
  Program shard_0 = Start("arcshard-shard", shard);
  Program shard_1 = Start("arcshard-shard", shard);
  const Arguments worker = With({"--coordinator", address, "--all-reduce-interface", "auto"}, CertifiedRole::kWorker);
  Program worker_0 = Start("arcshard-worker", worker);
  Program worker_1 = Start("arcshard-worker", worker);
  const std::string shard_address = After(shard_0, "for workers ");
  EXPECT_THAT(shard_address, HasSubstr("127.0.0.1:"));  // the address by which it reaches the coordinator
  const std::string worker_metrics = absl::StrCat("127.0.0.1:", After(worker_0, "metrics on port "));

  const Security client = certificates_.SecurityOf(CertifiedRole::kClient);
  auto watch = cli::WatchClient::Start(address, client);
  ASSERT_TRUE(watch.ok()) << watch.status();
  AwaitSteps(watch->get(), 3);
  ExpectHealthy("coordinator", address);
  ExpectHealthy("shard", shard_address);
  ExpectHealthy("worker", worker_metrics);
  Program status =
      Start("arcshard", With({"status", "--coordinator", address, "--timeout", "600"}, CertifiedRole::kClient));
  EXPECT_TRUE(status.AwaitEnd().ok()) << status.output();
  EXPECT_THAT(status.output(), ContainsRegex("\nshard 1 +[0-9]+ "));

  Program renew = Start("arcshard", {"certs", "renew", certificates_.folder(), "--days", "7"});
  EXPECT_TRUE(renew.AwaitEnd().ok()) << renew.output();
  const std::string renewed = *ReadFile(certificates_.FilesOf(CertifiedRole::kShard).certificate);
  while (!HasFailure() && CertificateShownBy(shard_address, client, CertifiedRole::kShard) != renewed) {
    AwaitSteps(watch->get(), 1);
  }
  AwaitSteps(watch->get(), 3);
  ExpectHealthy("coordinator", address);
  ExpectHealthy("shard", shard_address);

  coordinator.Signal(SIGTERM);
  EXPECT_TRUE(coordinator.AwaitEnd().ok()) << coordinator.output();
  for (Program* member : {&shard_0, &shard_1, &worker_0, &worker_1}) {
    EXPECT_TRUE(member->AwaitEnd().ok()) << member->output();
  }
  AwaitEndOfReports(watch->get());
  const std::vector<v1::Progress> reports = (*watch)->Take();
  ASSERT_FALSE(reports.empty());
  EXPECT_EQ(reports.back().phase(), v1::Progress::PHASE_FINISHED);
  EXPECT_EQ(reports.back().skipped(), 0u);
}

// Shards read each other's logs, and workers copy the state, over connections that nobody needed before.
TEST_F(TlsProcessTest, WhoDiesAndIsStartedAgainComesBackOverTls) {
  Program coordinator = StartCoordinator();
  const std::string address = After(coordinator, "listening on ");
  const Arguments shard = With({"--coordinator", address}, CertifiedRole::kShard);
  const Arguments worker = With({"--coordinator", address}, CertifiedRole::kWorker);
  std::vector<std::unique_ptr<Program>> members;
  for (const Arguments* arguments : {&shard, &shard, &worker, &worker}) {
    const std::string program = arguments == &shard ? "arcshard-shard" : "arcshard-worker";
    members.push_back(std::make_unique<Program>(Start(program, *arguments)));
  }
  auto watch = cli::WatchClient::Start(address, certificates_.SecurityOf(CertifiedRole::kClient));
  ASSERT_TRUE(watch.ok()) << watch.status();
  AwaitSteps(watch->get(), 3);
  const auto die = [&](size_t victim, const std::string& program, const Arguments& arguments) {
    members[victim]->Signal(SIGKILL);
    EXPECT_EQ(members[victim]->AwaitEnd(), (cli::ProcessExit{.signal = SIGKILL}));
    members[victim] = std::make_unique<Program>(Start(program, arguments));
    return coordinator.AwaitLine("the run goes on after step ");
  };
  const std::string rebuilt = die(1, "arcshard-shard", shard);
  EXPECT_THAT(rebuilt, ContainsRegex(absl::StrCat("\\(pid ", members[1]->pid(), " on [^)]*\\) has replayed ")));
  const std::string copied = die(3, "arcshard-worker", worker);
  EXPECT_THAT(copied,
              ContainsRegex(absl::StrCat("\\(pid ", members[3]->pid(), " on [^)]*\\) has taken over the state")));
  AwaitSteps(watch->get(), 3);
  coordinator.Signal(SIGTERM);
  EXPECT_TRUE(coordinator.AwaitEnd().ok()) << coordinator.output();
  for (const auto& member : members) EXPECT_TRUE(member->AwaitEnd().ok()) << member->output();
  EXPECT_THAT(coordinator.output(), Not(HasSubstr("the run goes back")));
}

TEST_F(TlsProcessTest, AHealthcheckSaysWhatIsWrong) {
  Program coordinator = StartCoordinator();
  const std::string address = After(coordinator, "listening on ");
  ExpectErrorInTime("its certificate is a coordinator's, expected a shard's", [&](const std::string& timeout) {
    return ErrorOf("arcshard",
                   With({"healthcheck", "shard", "--address", address, "--timeout", timeout}, CertifiedRole::kShard),
                   1);
  });
  EXPECT_THAT(ErrorOf("arcshard", {"healthcheck", "coordinator", "--address", address, "--timeout", "2s"}, 1),
              HasSubstr("does not answer"));
  EXPECT_THAT(ErrorOf("arcshard", {"healthcheck", "worker", "--address", "127.0.0.1:1"}, 1),
              HasSubstr("no worker answers at 127.0.0.1:1"));
  coordinator.Signal(SIGTERM);
  EXPECT_TRUE(coordinator.AwaitEnd().ok());
}

TEST_F(TlsProcessTest, ProgramsRefuseWhatIsUnsafeOrIncomplete) {
  SmallRun();
  EXPECT_THAT(ErrorOf("arcshard-coordinator", {"--config", Path("run.yaml"), "--listen", "0.0.0.0:0"}, 1),
              HasSubstr("refuses to listen on 0.0.0.0:0, which other machines may reach, without TLS"));
  EXPECT_THAT(ErrorOf("arcshard-shard", {"--coordinator", "127.0.0.1:1", "--listen", "0.0.0.0:0"}, 1),
              HasSubstr("refuses to listen on 0.0.0.0:0"));
  EXPECT_THAT(ErrorOf("arcshard-worker", {"--coordinator", "127.0.0.1:1", "--all-reduce-interface", "0.0.0.0"}, 1),
              HasSubstr("refuses to listen on 0.0.0.0"));
  const TlsFiles worker = certificates_.FilesOf(CertifiedRole::kWorker);
  EXPECT_THAT(ErrorOf("arcshard-shard", {"--coordinator", "127.0.0.1:1", "--tls-ca", worker.ca}, 2),
              HasSubstr("there is no --tls-cert"));
  EXPECT_THAT(ErrorOf("arcshard-shard", With({"--coordinator", "127.0.0.1:1", "--insecure"}, CertifiedRole::kShard), 2),
              HasSubstr("--insecure and --tls-ca exclude each other"));
  EXPECT_THAT(ErrorOf("arcshard-shard", With({"--coordinator", "127.0.0.1:1"}, CertifiedRole::kWorker), 1),
              HasSubstr("is the certificate of a worker, this process needs one of a shard"));
  EXPECT_THAT(ErrorOf("arcshard", {"certs", "init", certificates_.folder()}, 1), HasSubstr("nothing is overwritten"));

  Program insecure =
      Start("arcshard-coordinator", {"--config", Path("run.yaml"), "--listen", "0.0.0.0:0", "--insecure"});
  insecure.AwaitLine("INSECURE: listens on 0.0.0.0:0 without TLS");
  insecure.AwaitLine("listening on ");
  insecure.Signal(SIGTERM);
  EXPECT_TRUE(insecure.AwaitEnd().ok()) << insecure.output();
}

TEST_F(TlsProcessTest, AWorkerWithoutTlsLearnsWhyNobodyAnswers) {
  Program coordinator = StartCoordinator();
  const std::string address = After(coordinator, "listening on ");
  ExpectErrorInTime(absl::StrCat("for the coordinator at ", address, ", which does not answer ("),
                    [&](const std::string& timeout) {
                      return ErrorOf("arcshard-worker", {"--coordinator", address, "--connect-timeout", timeout}, 1);
                    });
  coordinator.AwaitLine("TLS: a handshake failed: ");
  coordinator.Signal(SIGTERM);
  EXPECT_TRUE(coordinator.AwaitEnd().ok());
}

}  // namespace
}  // namespace arcshard
