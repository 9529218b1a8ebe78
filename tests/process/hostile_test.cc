// A run beside which strangers do what they can over loopback, in plaintext and under TLS. It goes on, and ends with
// the same bits as a run that nobody disturbs. Label: hostile. The workers' all-reduce has neither TLS nor passwords
// and is not attacked (operations.md, Certificates).
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/checkpoint/take_checkpoint.h"
#include "cli/healthcheck/check_server.h"
#include "common/net/descriptors.h"
#include "common/net/host_port.h"
#include "common/rpc/testing/unfinished_calls.h"
#include "gmock/gmock.h"
#include "tests/process/testing/hostile_client.h"
#include "tests/process/testing/process_kit.h"
#include "tests/testing/certificates.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// What connections may use of a process's descriptors, so that few of them are many.
constexpr rlim_t kDescriptors = 256;
constexpr int kMoreThanDescriptors = 300;
constexpr double kEpochs = 1000;  // more than a test has time for
constexpr uint64_t kMebibyte = uint64_t{1} << 20;
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";

// The programs of a run, started by hand.
struct Cluster {
  std::unique_ptr<Program> coordinator;
  std::vector<std::unique_ptr<Program>> shards, workers;
  std::string address;  // of the coordinator
  std::vector<std::string> shard_addresses;
  std::vector<int> metrics_ports;  // of all of them

  std::vector<Program*> all() const {
    std::vector<Program*> programs = {coordinator.get()};
    for (const auto& shard : shards) programs.push_back(shard.get());
    for (const auto& worker : workers) programs.push_back(worker.get());
    return programs;
  }
};

class HostileTest : public ProcessTestBase, public ::testing::WithParamInterface<bool> {
 protected:
  using Arguments = std::vector<std::string>;

  HostileTest() { RaiseDescriptorLimit(); }  // for the connections that it holds

  static bool tls() { return GetParam(); }
  Arguments With(Arguments arguments, CertifiedRole role) const {
    if (!tls()) return arguments;
    const TlsFiles files = certificates_.FilesOf(role);
    arguments.insert(arguments.end(), {"--tls-ca", files.ca, "--tls-cert", files.certificate, "--tls-key", files.key});
    return arguments;
  }
  const Security& Of(CertifiedRole role) {
    const auto [found, is_new] = securities_.try_emplace(role);
    if (is_new && tls()) found->second = certificates_.SecurityOf(role);
    return found->second;
  }

  // Waits for a line with `mark` and returns what follows the mark, up to the next comma or the end of the line.
  static std::string After(Program& program, const std::string& mark) {
    const std::string line = program.AwaitLine(mark);
    const size_t begin = line.find(mark) + mark.size();
    return line.substr(begin, line.find(',', begin) - begin);
  }
  static int PortAfter(Program& program, const std::string& mark) {
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(After(program, mark), &port));
    return port;
  }
  static int PortOf(const std::string& address) { return ParseHostPort(address).value_or(HostPort()).port; }
  static void LimitDescriptors(const Program& program) {
    const rlimit limit = {kDescriptors, kDescriptors};
    EXPECT_EQ(prlimit(program.pid(), RLIMIT_NOFILE, &limit, nullptr), 0);
  }

  std::unique_ptr<Program> StartLimited(const std::string& name, const Arguments& arguments, CertifiedRole role) {
    auto program = std::make_unique<Program>(Start(name, With(arguments, role)));
    LimitDescriptors(*program);
    return program;
  }
  // A run that is not yet complete: its last worker has not been started, all others have registered. The learning rate
  // is constant, so that a run of as many steps is the same run.
  Cluster StartAllButOne(const std::string& run_folder, double epochs) {
    SmallRun();
    Cluster cluster;
    cluster.coordinator = StartLimited(
        "arcshard-coordinator",
        {"--config", Path("run.yaml"), "--listen", "127.0.0.1:0", "--set", absl::StrCat("run.folder=", run_folder),
         "--set", absl::StrFormat("schedule.epochs=%.9f", epochs), "--set", "schedule.kind=steps", "--set",
         "schedule.drop_factor=1", "--set", "schedule.warmup_epochs=0", "--set", "run.deterministic=true", "--set",
         "cluster.connect_timeout=300s"},
        CertifiedRole::kCoordinator);
    const std::string line = cluster.coordinator->AwaitLine("listening on ");
    const size_t begin = line.find("listening on ") + 13;
    cluster.address = line.substr(begin, line.find(',', begin) - begin);
    const size_t metrics = line.find("metrics on port ") + 16;
    cluster.metrics_ports.push_back(std::atoi(line.c_str() + metrics));
    for (int i = 0; i < 2; ++i) {
      cluster.shards.push_back(StartLimited(
          "arcshard-shard", {"--coordinator", cluster.address, "--connect-timeout", "300s"}, CertifiedRole::kShard));
      cluster.metrics_ports.push_back(PortAfter(*cluster.shards.back(), "metrics on port "));
      cluster.shard_addresses.push_back(After(*cluster.shards.back(), "for workers "));
      cluster.coordinator->AwaitLine(absl::StrCat("shard ", i, " (pid "));
    }
    StartWorker(&cluster);
    cluster.coordinator->AwaitLine("worker 0 (pid ");
    return cluster;
  }
  void StartWorker(Cluster* cluster) {
    cluster->workers.push_back(StartLimited(
        "arcshard-worker", {"--coordinator", cluster->address, "--connect-timeout", "300s"}, CertifiedRole::kWorker));
    cluster->metrics_ports.push_back(PortAfter(*cluster->workers.back(), "metrics on port "));
  }
  static void AwaitEnd(const Cluster& cluster) {
    for (Program* const program : cluster.all()) EXPECT_TRUE(program->AwaitEnd().ok()) << program->output();
  }

  // --- Attacks. Each is over when its function returns.

  // While the run gathers: participants that are none, and some that go away again.
  void DisturbGathering(const Cluster& cluster) {
    for (int i = 0; i < 3; ++i) {
      FakeParticipant fake(cluster.address, Of(CertifiedRole::kWorker));
      fake.Send(FakeParticipant::Registration(v1::ROLE_WORKER));
      EXPECT_TRUE(fake.Welcomed() || i > 0);  // the one before may not have left yet
    }
    // The last message is refused. The place is free again before it is, or one who has it is refused instead.
    const auto refused_after = [&](const std::vector<v1::ParticipantMessage>& messages) {
      for (absl::Status end; !absl::IsInvalidArgument(end) && !HasFailure();) {
        FakeParticipant fake(cluster.address, Of(CertifiedRole::kWorker));
        fake.Send(FakeParticipant::Registration(v1::ROLE_WORKER));
        for (const v1::ParticipantMessage& message : messages) fake.Send(message);
        end = fake.End();
        EXPECT_TRUE(absl::IsInvalidArgument(end) || absl::IsFailedPrecondition(end)) << end;
      }
    };
    refused_after({v1::ParticipantMessage()});
    v1::ParticipantMessage heartbeat, dataset;  // odd statistics are left out and end nothing
    for (int i = 0; i < 33; ++i) heartbeat.mutable_heartbeat()->mutable_stats()->add_phases()->set_name("forward");
    dataset.mutable_dataset()->set_samples(~uint64_t{0});
    refused_after({heartbeat, dataset});
  }

  void ConnectAndSayNothing(const Cluster& cluster) {
    std::vector<std::vector<FileDescriptor>> held;
    for (const std::string& address : ServersOf(cluster)) {
      held.push_back(HoldConnections(PortOf(address), kMoreThanDescriptors));
      EXPECT_EQ(held.back().size(), size_t{kMoreThanDescriptors});
    }
    // The run can still open files, and who has something to say is heard.
    // It may have to wait until the silent ones before it have been sent away, which takes longer than one try.
    auto taken = cli::TakeCheckpoint(cluster.address, Of(CertifiedRole::kClient));
    while (absl::IsUnavailable(taken.status())) {
      taken = cli::TakeCheckpoint(cluster.address, Of(CertifiedRole::kClient));
    }
    EXPECT_TRUE(taken.ok()) << taken.status();
    EXPECT_TRUE(cli::CheckServer(cluster.shard_addresses.front(), CertifiedRole::kShard, Of(CertifiedRole::kClient),
                                 absl::Minutes(5))
                    .ok());
  }

  void ConnectAndSayNonsense(const Cluster& cluster) {
    std::vector<std::vector<FileDescriptor>> held;
    for (const std::string& address : ServersOf(cluster)) {
      for (const std::string& nonsense : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(5000, '\xff'),
                                          std::string("\x16\x03\x01\x02\x00\x01", 6),
                                          std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(3000, '\0')}) {
        held.push_back(HoldConnections(PortOf(address), 5, nonsense));
      }
    }
  }

  // Messages that are nearly complete, of as many calls as a connection may have, and of calls that no code of the
  // services sees before their messages are complete. In plaintext: who has no certificate cannot even begin under TLS.
  void BeginLargeMessages(const Cluster& cluster) {
    const auto begin = [](const std::string& address, const UnfinishedCall& call) {
      std::vector<std::unique_ptr<UnfinishedCalls>> calls;
      for (int i = 0; i < 40; ++i) {
        calls.push_back(std::make_unique<UnfinishedCalls>(PortOf(address), call, /*wanted=*/16));
      }
      EXPECT_TRUE(UnfinishedCalls::AwaitDone(calls));  // sent, or ended by the server, which has had enough of them
    };
    for (const std::string& address : cluster.shard_addresses) {
      begin(address, {.path = "/arcshard.v1.Shard/Exchange", .announced = 1'000'000, .sent = 999'000});
      begin(address, {.path = kHealthCheck, .announced = 1'000'000, .sent = 999'000});
    }
    begin(cluster.address, {.path = "/arcshard.v1.Coordinator/Attend", .announced = 60'000'000, .sent = 60'000});
    begin(cluster.address, {.path = "/arcshard.v1.Coordinator/Attend", .announced = 250'000, .sent = 249'000});
    begin(cluster.address, {.path = "/arcshard.v1.Coordinator/GetStatus", .announced = 250'000, .sent = 249'000});
    begin(cluster.address, {.path = kHealthCheck, .announced = 250'000, .sent = 249'000});
  }

  void SendLargeTokens(const Cluster& cluster) {
    for (const std::string& shard : cluster.shard_addresses) {
      for (int i = 0; i < 20; ++i) {
        const absl::Status end = SayHello(shard, Of(CertifiedRole::kWorker), i % 2 == 0 ? 1'000'000 : 16);
        EXPECT_TRUE(absl::IsPermissionDenied(end)) << end;
      }
    }
  }

  void ReadMetricsSlowly(const Cluster& cluster) {
    std::vector<std::vector<FileDescriptor>> held;
    for (const int port : cluster.metrics_ports) {
      held.push_back(HoldConnections(port, 50));
      held.push_back(HoldConnections(port, 50, "GET /metr"));
      EXPECT_TRUE(MetricsAnswer(port));
    }
  }

  // Replaces each TLS file, one after the other, by one that cannot be used, until its process has noticed.
  void DamageCertificates(const Cluster& cluster) {
    if (!tls()) return;
    const std::vector<std::pair<CertifiedRole, Program*>> victims = {
        {CertifiedRole::kCoordinator, cluster.coordinator.get()}, {CertifiedRole::kShard, cluster.shards[0].get()}};
    bool empty = false;
    for (const auto& [role, program] : victims) {
      const TlsFiles files = certificates_.FilesOf(role);
      for (const std::string& path : {files.ca, files.certificate, files.key}) {
        const std::string good = ReadFile(path).value_or("");
        EXPECT_TRUE(WriteFileAtomically(path, good.substr(0, empty ? 0 : good.size() / 2)).ok());
        program->AwaitLine(absl::StrCat("TLS: what was read before stays in use: ", path));
        EXPECT_TRUE(WriteFileAtomically(path, good).ok());
        empty = !empty;
      }
    }
  }

  static std::vector<std::string> ServersOf(const Cluster& cluster) {
    std::vector<std::string> servers = cluster.shard_addresses;
    servers.push_back(cluster.address);
    return servers;
  }

  const TestCertificates certificates_;
  std::map<CertifiedRole, Security> securities_;
};

TEST_P(HostileTest, ARunGoesOnBesideAttacksAndEndsWithTheSameBits) {
  Cluster attacked = StartAllButOne(Path("attacked"), kEpochs);
  const uint64_t shard_before = PeakMemory(attacked.shards[0]->pid());
  const uint64_t coordinator_before = PeakMemory(attacked.coordinator->pid());
  DisturbGathering(attacked);
  ConnectAndSayNonsense(attacked);
  BeginLargeMessages(attacked);
  StartWorker(&attacked);
  auto watch = cli::WatchClient::Start(attacked.address, Of(CertifiedRole::kClient));
  ASSERT_TRUE(watch.ok()) << watch.status();
  AwaitSteps(watch->get(), 1);
  ConnectAndSayNothing(attacked);
  AwaitSteps(watch->get(), 1);
  SendLargeTokens(attacked);
  BeginLargeMessages(attacked);
  AwaitSteps(watch->get(), 1);
  ReadMetricsSlowly(attacked);
  ConnectAndSayNonsense(attacked);
  DamageCertificates(attacked);
  AwaitSteps(watch->get(), 1);
  // There are 24 strangers at once, who use a quarter of what connections may use here. Each may begin four messages:
  // of 1 MB in a shard, of 250 kB in a coordinator. With 16 it would be 380 MB and 96 MB.
  EXPECT_LT(PeakMemory(attacked.shards[0]->pid()), shard_before + 200 * kMebibyte);
  EXPECT_LT(PeakMemory(attacked.coordinator->pid()), coordinator_before + 64 * kMebibyte);
  attacked.coordinator->Signal(SIGTERM);
  const v1::Progress last = AwaitReport(
      watch->get(), [](const v1::Progress& report) { return report.phase() == v1::Progress::PHASE_FINISHED; });
  EXPECT_EQ(last.skipped(), 0u);
  AwaitEnd(attacked);
  for (Program* const program : attacked.all()) {
    EXPECT_THAT(program->output(), Not(HasSubstr("\x1b"))) << "the strangers' escapes reached a terminal";
  }

  ASSERT_GT(last.steps(), 0u);
  const double part = static_cast<double>(last.step()) / static_cast<double>(last.steps());
  Cluster calm = StartAllButOne(Path("calm"), kEpochs * part);
  StartWorker(&calm);
  AwaitEnd(calm);
  ExpectSameModel(ModelOf(Path("attacked")), ModelOf(Path("calm")));
}

INSTANTIATE_TEST_SUITE_P(Everywhere, HostileTest, ::testing::Values(false, true),
                         [](const auto& chosen) { return chosen.param ? "UnderTls" : "InPlaintext"; });

}  // namespace
}  // namespace arcshard
