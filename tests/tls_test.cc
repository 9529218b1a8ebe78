// Which process may call which: real servers and clients over real sockets, with certificates made for the test.
#include <fcntl.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/healthcheck/check_server.h"
#include "common/base/testing/fake_clock.h"
#include "common/io/file.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"
#include "common/rpc/testing/silent_connection.h"
#include "coordinator/service/coordinator_service.h"
#include "coordinator/service/reporter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard_server/service/shard_service.h"
#include "tests/testing/certificates.h"

namespace arcshard {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr absl::Duration kCallLimit = absl::Minutes(10);  // far longer than a call takes: a hanging call fails the test

// Captures what this process logs while the object exists.
class LogCapture {
 public:
  LogCapture() : path_(::testing::TempDir() + "arcshard_log_XXXXXX"), before_(dup(STDERR_FILENO)) {
    const int file = mkstemp(path_.data());
    dup2(file, STDERR_FILENO);
    close(file);
  }
  ~LogCapture() {
    dup2(before_, STDERR_FILENO);
    close(before_);
    std::fputs(Text().c_str(), stderr);
    std::remove(path_.c_str());
  }

  std::string Text() const { return ReadFile(path_).value_or(""); }
  bool Has(const std::string& text) const { return absl::StrContains(Text(), text); }

 private:
  std::string path_;
  const int before_;
};

// A coordinator and a shard of a run without members, each with its own server.
class Servers {
 public:
  Servers(const Security& of_coordinator, const Security& of_shard) {
    coordinator::Run::Options options;
    options.config_yaml = "run: {}";
    options.incarnation = 1;
    coordinator_ = std::make_unique<coordinator::CoordinatorService>(
        options, &clock_, coordinator::Session::Receivers{.progress = &reporter_}, &coordinator_metrics_);
    coordinator_server_ = Start(coordinator_.get(), of_coordinator);
    shard_server_ = Start(&shard_, of_shard);
  }
  ~Servers() {
    coordinator_server_.reset();
    shard_server_.reset();
  }

  const std::string& coordinator() const { return coordinator_server_->address(); }
  const std::string& shard() const { return shard_server_->address(); }
  double RefusedByCoordinator(absl::StatusCode code) {
    return coordinator_metrics_.refused_messages.With(absl::StatusCodeToString(code)).Value();
  }

 private:
  static std::unique_ptr<RpcServer> Start(grpc::Service* service, const Security& security) {
    auto server = RpcServer::Start("127.0.0.1:0", {service}, {.security = security});
    EXPECT_TRUE(server.ok()) << server.status();
    return *std::move(server);
  }

  FakeClock clock_;
  MetricRegistry coordinator_registry_, shard_registry_;
  CoordinatorMetrics coordinator_metrics_{&coordinator_registry_};
  ShardMetrics shard_metrics_{&shard_registry_};
  coordinator::Reporter reporter_{&clock_, &coordinator_metrics_, /*members=*/2};
  std::unique_ptr<coordinator::CoordinatorService> coordinator_;
  shard::ShardService shard_{&shard_metrics_};
  std::unique_ptr<RpcServer> coordinator_server_, shard_server_;
};

// The functions below call each RPC once and return its status.
using Call = std::function<absl::Status(const std::shared_ptr<grpc::Channel>&)>;

struct Limited : grpc::ClientContext {
  Limited() { set_deadline(absl::ToChronoTime(absl::Now() + kCallLimit)); }
};

absl::Status Attend(const std::shared_ptr<grpc::Channel>& channel, v1::Role role) {
  const auto stub = v1::Coordinator::NewStub(channel);
  Limited context;
  const auto stream = stub->Attend(&context);
  v1::ParticipantMessage message;
  message.mutable_register_()->set_role(role);
  message.mutable_register_()->set_address("host:1");
  message.mutable_register_()->set_capacity_bytes(1 << 20);
  stream->Write(message);
  v1::CoordinatorMessage answer;
  if (stream->Read(&answer)) {
    context.TryCancel();
    return answer.has_welcome() ? absl::OkStatus() : absl::UnknownError(answer.ShortDebugString());
  }
  return FromGrpcStatus(stream->Finish());
}
absl::Status Watch(const std::shared_ptr<grpc::Channel>& channel) {
  const auto stub = v1::Coordinator::NewStub(channel);
  Limited context;
  const auto reader = stub->Watch(&context, v1::WatchRequest());
  v1::Progress progress;
  if (!reader->Read(&progress)) return FromGrpcStatus(reader->Finish());
  context.TryCancel();
  return absl::OkStatus();
}
absl::Status GetStatus(const std::shared_ptr<grpc::Channel>& channel) {
  Limited context;
  v1::RunStatus status;
  return FromGrpcStatus(v1::Coordinator::NewStub(channel)->GetStatus(&context, v1::StatusRequest(), &status));
}
absl::Status Stop(const std::shared_ptr<grpc::Channel>& channel) {
  Limited context;
  v1::StopResponse response;
  return FromGrpcStatus(v1::Coordinator::NewStub(channel)->Stop(&context, v1::StopRequest(), &response));
}
absl::Status Exchange(const std::shared_ptr<grpc::Channel>& channel) {
  const auto stub = v1::Shard::NewStub(channel);
  Limited context;
  const auto stream = stub->Exchange(&context);
  stream->WritesDone();
  return FromGrpcStatus(stream->Finish());
}
absl::Status Replay(const std::shared_ptr<grpc::Channel>& channel) {
  const auto stub = v1::Shard::NewStub(channel);
  Limited context;
  const auto reader = stub->Replay(&context, v1::ReplayRequest());
  v1::ReplayPiece piece;
  while (reader->Read(&piece)) {
  }
  const absl::Status end = FromGrpcStatus(reader->Finish());
  return absl::IsInvalidArgument(end) ? absl::OkStatus() : end;  // the caller may ask, but not for nothing
}
// Calls `method` with a message and an answer in serialized form.
absl::StatusOr<std::string> CallByName(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                                       const std::string& request) {
  grpc::GenericStub stub(channel);
  Limited context;
  const grpc::Slice slice(request);
  grpc::ByteBuffer out(&slice, 1), in;
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareUnaryCall(&context, method, out, &queue);
  call->StartCall();
  grpc::Status status;
  call->Finish(&in, &status, nullptr);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  if (!status.ok()) return FromGrpcStatus(status);
  std::vector<grpc::Slice> slices;
  if (!in.Dump(&slices).ok()) return absl::InternalError("the answer cannot be read");
  std::string answer;
  for (const grpc::Slice& one : slices) answer.append(reinterpret_cast<const char*>(one.begin()), one.size());
  return answer;
}
// Asks a server by reflection for its services; the answer contains their names.
absl::StatusOr<std::string> ListServices(const std::shared_ptr<grpc::Channel>& channel) {
  const std::string list_services("\x3a\x01*", 3);  // ServerReflectionRequest{list_services: "*"}
  return CallByName(channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", list_services);
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() { PrepareGrpc(); }

  Security Of(CertifiedRole role) const { return certificates_.SecurityOf(role); }
  static cli::Validity Valid() { return {absl::Now() - absl::Hours(1), absl::Now() + absl::Hours(1)}; }
  std::shared_ptr<grpc::Channel> ToCoordinator(const Servers& servers, const Security& security) const {
    return MakeChannel(servers.coordinator(), security, CertifiedRole::kCoordinator);
  }

  // Expects that calls fail before they reach the service, and repeats them until `line` is in the log.
  void ExpectNoConnection(const std::shared_ptr<grpc::Channel>& channel, const std::string& line) {
    const absl::Time deadline = absl::Now() + kCallLimit;
    do {
      const absl::Status status = GetStatus(channel);
      ASSERT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    } while (!log_.Has(line) && absl::Now() < deadline);
    EXPECT_THAT(log_.Text(), HasSubstr(line));
  }

  const TestCertificates certificates_;
  const LogCapture log_;
};

TEST_F(TlsTest, EachRoleMayCallWhatIsItsOwnAndNothingElse) {
  using enum CertifiedRole;
  const std::set<CertifiedRole> all(std::begin(kAllCertifiedRoles), std::end(kAllCertifiedRoles));
  struct Rpc {
    std::string name;
    CertifiedRole server;
    std::set<CertifiedRole> allowed;
    Call call;
  };
  const auto list = [](const std::shared_ptr<grpc::Channel>& channel) { return ListServices(channel).status(); };
  const std::vector<Rpc> rpcs = {
      {"Coordinator.Attend as a shard",
       kCoordinator,
       {kShard},
       [](const auto& c) { return Attend(c, v1::ROLE_SHARD); }},
      {"Coordinator.Attend as a worker",
       kCoordinator,
       {kWorker},
       [](const auto& c) { return Attend(c, v1::ROLE_WORKER); }},
      {"Coordinator.Watch", kCoordinator, all, Watch},
      {"Coordinator.GetStatus", kCoordinator, all, GetStatus},
      {"Shard.Exchange", kShard, {kWorker}, Exchange},
      {"Shard.Replay", kShard, {kShard}, Replay},
      {"reflection of a coordinator", kCoordinator, all, list},
      {"reflection of a shard", kShard, all, list},
      {"Coordinator.Stop", kCoordinator, {kClient}, Stop},
  };
  for (const CertifiedRole role : kAllCertifiedRoles) {
    double refused = 0;
    for (const Rpc& rpc : rpcs) {
      Servers servers(Of(kCoordinator), Of(kShard));  // its own: some calls end the run, which the next one may notice
      const std::string& address = rpc.server == kShard ? servers.shard() : servers.coordinator();
      const absl::Status status = rpc.call(MakeChannel(address, Of(role), rpc.server));
      const bool allowed = rpc.allowed.contains(role);
      EXPECT_EQ(status.code(), allowed ? absl::StatusCode::kOk : absl::StatusCode::kPermissionDenied)
          << rpc.name << " by a " << NameOf(role) << ": " << status;
      refused += servers.RefusedByCoordinator(absl::StatusCode::kPermissionDenied);
    }
    EXPECT_GE(refused, 2.0) << NameOf(role);
    const Servers servers(Of(kCoordinator), Of(kShard));
    EXPECT_TRUE(cli::CheckServer(servers.coordinator(), kCoordinator, Of(role), kCallLimit).ok()) << NameOf(role);
    EXPECT_TRUE(cli::CheckServer(servers.shard(), kShard, Of(role), kCallLimit).ok()) << NameOf(role);
  }
  // Of the first refusals, which are those that the log tells of.
  EXPECT_THAT(log_.Text(), HasSubstr("(CN 'arcshard shard'): Coordinator.Stop is for the role client; the certificate "
                                     "that was shown is a shard's"));
  EXPECT_THAT(log_.Text(), HasSubstr("refused ipv4:127.0.0.1:"));
  EXPECT_THAT(log_.Text(), HasSubstr("(CN 'arcshard shard'): Shard.Exchange is for the role worker"));
  EXPECT_THAT(log_.Text(), HasSubstr("registers as a shard with the certificate of a worker"));
}

TEST_F(TlsTest, ReflectionListsTheServices) {
  const Servers servers(Of(CertifiedRole::kCoordinator), Of(CertifiedRole::kShard));
  const Security client = Of(CertifiedRole::kClient);
  const absl::StatusOr<std::string> coordinators = ListServices(ToCoordinator(servers, client));
  ASSERT_TRUE(coordinators.ok()) << coordinators.status();
  EXPECT_THAT(*coordinators, HasSubstr("arcshard.v1.Coordinator"));
  EXPECT_THAT(*coordinators, HasSubstr("grpc.health.v1.Health"));
  const absl::StatusOr<std::string> shards = ListServices(MakeChannel(servers.shard(), client, CertifiedRole::kShard));
  ASSERT_TRUE(shards.ok()) << shards.status();
  EXPECT_THAT(*shards, HasSubstr("arcshard.v1.Shard"));
}

TEST_F(TlsTest, WhoShowsNoCertificateIsRefused) {
  const Servers servers(Of(CertifiedRole::kCoordinator), Of(CertifiedRole::kShard));
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("localhost");
  grpc::SslCredentialsOptions trust_only;
  trust_only.pem_root_certs = certificates_.authority().certificate;
  ExpectNoConnection(grpc::CreateCustomChannel(servers.coordinator(), grpc::SslCredentials(trust_only), arguments),
                     "TLS: a handshake failed: peer did not return a certificate");
}

TEST_F(TlsTest, AnExpiredCertificateIsRefused) {
  const Servers servers(Of(CertifiedRole::kCoordinator), Of(CertifiedRole::kShard));
  const absl::Time now = absl::Now();
  const auto expired = cli::IssueCertificate(certificates_.authority(), cli::SubjectOf(CertifiedRole::kWorker),
                                             {now - absl::Minutes(50), now - absl::Minutes(10)});
  ASSERT_TRUE(expired.ok()) << expired.status();
  const TlsFiles files = certificates_.Write("expired", *expired, certificates_.authority().certificate);
  const absl::Status own = Security::Tls(files, CertifiedRole::kWorker, now).status();
  EXPECT_EQ(own.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(own.message()), HasSubstr("certificate has expired"));
  // A server that was started when its certificate was still valid.
  const auto worker = Security::Tls(files, CertifiedRole::kWorker, now - absl::Minutes(30));
  ASSERT_TRUE(worker.ok()) << worker.status();
  ExpectNoConnection(ToCoordinator(servers, *worker), "TLS: a handshake failed: certificate verify failed");
}

TEST_F(TlsTest, ACertificateOfAnotherCaIsRefusedByBothSides) {
  const auto other = cli::MakeAuthority(Valid());
  ASSERT_TRUE(other.ok()) << other.status();
  const std::string both = certificates_.authority().certificate + other->certificate;
  const auto foreign = [&](CertifiedRole role) {
    const auto identity = cli::IssueCertificate(*other, cli::SubjectOf(role), Valid());
    EXPECT_TRUE(identity.ok()) << identity.status();
    const auto security =
        Security::Tls(certificates_.Write(absl::StrCat("foreign-", NameOf(role)), *identity, both), role, absl::Now());
    EXPECT_TRUE(security.ok()) << security.status();
    return *security;
  };
  const Servers servers(Of(CertifiedRole::kCoordinator), foreign(CertifiedRole::kShard));
  ExpectNoConnection(ToCoordinator(servers, foreign(CertifiedRole::kWorker)),
                     "TLS: a handshake failed: certificate verify failed");
  const std::string reason = "certificate verify failed";
  absl::Status status;  // on a busy machine a second may be too short to learn the reason
  for (absl::Duration wait = absl::Seconds(1); wait < kCallLimit && !absl::StrContains(status.message(), reason);
       wait *= 4) {
    status = cli::CheckServer(servers.shard(), CertifiedRole::kShard, Of(CertifiedRole::kWorker), wait);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
}

TEST_F(TlsTest, ACertificateWithoutARoleIsRefused) {
  const Servers servers(Of(CertifiedRole::kCoordinator), Of(CertifiedRole::kShard));
  const cli::Identity authority = certificates_.authority();
  const auto identity =
      cli::IssueCertificate(authority, {.name = "nobody", .alternative_names = "DNS:nobody"}, Valid());
  ASSERT_TRUE(identity.ok()) << identity.status();
  const TlsFiles files = certificates_.Write("nobody", *identity, authority.certificate);
  EXPECT_EQ(Security::Tls(files, std::nullopt, absl::Now()).status().code(), absl::StatusCode::kUnauthenticated);
  // A client that does not check its own certificate.
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = authority.certificate;
  options.pem_cert_chain = identity->certificate;
  options.pem_private_key = identity->key;
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("localhost");
  ExpectNoConnection(grpc::CreateCustomChannel(servers.coordinator(), grpc::SslCredentials(options), arguments),
                     "TLS: refused a peer (CN 'nobody'): the certificate names no role of arcshard");
}

TEST_F(TlsTest, AServerOfAnotherRoleIsRefused) {
  // The server at the shard's address has a coordinator's certificate.
  const Servers servers(Of(CertifiedRole::kCoordinator), Of(CertifiedRole::kCoordinator));
  const absl::Status status = Exchange(MakeChannel(servers.shard(), Of(CertifiedRole::kWorker), CertifiedRole::kShard));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(log_.Text(), HasSubstr("TLS: refused a peer (CN 'arcshard coordinator'): its certificate is a "
                                     "coordinator's, expected a shard's"));
}

TEST_F(TlsTest, PlaintextToATlsPortIsRefused) {
  const Servers servers(Of(CertifiedRole::kCoordinator), Of(CertifiedRole::kShard));
  ExpectNoConnection(MakeChannel(servers.coordinator()), "TLS: a handshake failed: ");
}

TEST_F(TlsTest, TlsToAPlaintextPortIsRefused) {
  const Servers servers{Security(), Security()};
  ExpectNoConnection(ToCoordinator(servers, Of(CertifiedRole::kClient)), "TLS: a handshake failed: wrong version");
}

TEST_F(TlsTest, AConnectionThatSaysNothingIsEndedOnceItsHandshakeHasHadItsTime) {
  const auto server = RpcServer::Start(
      "127.0.0.1:0", {}, {.security = Of(CertifiedRole::kShard), .handshake_limit = absl::Milliseconds(100)});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(EndsASilentConnection((*server)->port()));
}

TEST_F(TlsTest, OnlyWithTlsOrInsecureAServerListensBeyondThisMachine) {
  for (const char* const address : {"0.0.0.0:0", "[::]:0"}) {
    const absl::Status refused = RpcServer::Start(address, {}).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()), HasSubstr(absl::StrCat("refuses to listen on ", address)));
    EXPECT_THAT(std::string(refused.message()), HasSubstr("--insecure"));
  }
  EXPECT_TRUE(RpcServer::Start("0.0.0.0:0", {}, {.security = Of(CertifiedRole::kShard)}).ok());
  EXPECT_FALSE(log_.Has("INSECURE"));
  EXPECT_TRUE(RpcServer::Start("0.0.0.0:0", {}, {.security = Security::Insecure()}).ok());
  EXPECT_TRUE(log_.Has("INSECURE: listens on 0.0.0.0:0 without TLS"));
}

TEST_F(TlsTest, AProcessNeedsACertificateOfItsOwnRole) {
  const absl::Status status =
      Security::Tls(certificates_.FilesOf(CertifiedRole::kWorker), CertifiedRole::kShard, absl::Now()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("worker/tls.crt: is the certificate of a worker, this process needs one of a shard"));
}

TEST_F(TlsTest, NewConnectionsUseRenewedCertificatesAndOldOnesStand) {
  const Servers servers(Of(CertifiedRole::kCoordinator), Of(CertifiedRole::kShard));
  const std::string path = certificates_.FilesOf(CertifiedRole::kCoordinator).certificate;
  const std::string before = *ReadFile(path);
  const auto old = ToCoordinator(servers, Of(CertifiedRole::kClient));
  const auto stub = v1::Coordinator::NewStub(old);
  Limited context;
  const auto watching = stub->Watch(&context, v1::WatchRequest());
  v1::Progress progress;
  ASSERT_TRUE(watching->Read(&progress));
  const auto shown = [&] {
    return CertificateShownBy(servers.coordinator(), Of(CertifiedRole::kClient), CertifiedRole::kCoordinator);
  };
  EXPECT_EQ(shown(), before);

  certificates_.Renew();
  const std::string after = *ReadFile(path);
  ASSERT_NE(after, before);
  const absl::Time deadline = absl::Now() + kCallLimit;
  std::string now_shown;
  do {
    now_shown = shown();
    EXPECT_THAT(now_shown, AnyOf(before, after));  // there is a valid certificate at every moment
  } while (now_shown != after && absl::Now() < deadline);
  EXPECT_EQ(now_shown, after);
  EXPECT_TRUE(GetStatus(old).ok());
  ASSERT_TRUE(Stop(old).ok());
  EXPECT_TRUE(watching->Read(&progress)) << "the stream did not outlive the renewal";
}

}  // namespace
}  // namespace arcshard
