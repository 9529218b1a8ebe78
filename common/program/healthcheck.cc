#include "common/program/healthcheck.h"

#include <grpcpp/client_context.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/net/host_port.h"
#include "common/program/command_line.h"
#include "common/program/security_options.h"
#include "common/rpc/deadline.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace arcshard {

namespace health = grpc::health::v1;

absl::Status CheckHealth(const std::string& address, CertifiedRole role, const Security& security,
                         absl::Duration timeout) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(address, security, role);
  const std::string whom = absl::StrCat("the ", NameOf(role), " at ", address);
  RETURN_IF_ERROR(AwaitConnected(channel.get(), whom, timeout));
  grpc::ClientContext context;
  context.set_deadline(DeadlineIn(deadline - clock.Now()));
  health::HealthCheckResponse response;
  RETURN_IF_ERROR(Annotate(
      FromGrpcStatus(health::Health::NewStub(channel)->Check(&context, health::HealthCheckRequest(), &response)),
      whom));
  if (response.status() == health::HealthCheckResponse::SERVING) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(whom, " is ", health::HealthCheckResponse::ServingStatus_Name(response.status())));
}

std::optional<int> HealthcheckCommand(CertifiedRole role, const std::string& default_address, int argc, char** argv) {
  if (argc < 2 || absl::string_view(argv[1]) != "healthcheck") return std::nullopt;
  CommandLineParser parser(absl::StrCat(argv[0], " healthcheck").c_str(),
                           "Exits with 0 if this program serves on this machine, otherwise with 1 and the reason.",
                           nullptr);
  CommandLine options = parser.root();
  std::string address = default_address;
  std::string timeout_text = "5s";
  SecurityOptions security_options;
  options.Add("--address", &address, "host:port that it listens on")
      .OrFromEnvironment("ARCSHARD_HEALTH_ADDRESS")
      .ShowDefault()
      .Check(PeerAddressProblem);
  options.Add("--timeout", &timeout_text, "How long to wait for an answer").ShowDefault();
  security_options.AddTo(&options, SecurityOptions::Listens::kNo);
  if (const std::optional<int> exit_code = ParseCommandLine(&parser, argc - 1, argv + 1)) return exit_code;
  absl::Duration timeout;
  if (const std::optional<int> exit_code = ParseDurationOption("--timeout", timeout_text, &timeout)) return exit_code;
  Security security;
  if (const std::optional<int> exit_code = security_options.Take(std::nullopt, &security)) return exit_code;
  const absl::Status status = CheckHealth(address, role, security, timeout);
  if (status.ok()) return EXIT_SUCCESS;
  LogError(status.message());
  return EXIT_FAILURE;
}

}  // namespace arcshard
