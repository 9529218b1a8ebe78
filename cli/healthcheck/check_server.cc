#include "cli/healthcheck/check_server.h"

#include <grpcpp/client_context.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/rpc/deadline.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace arcshard::cli {

namespace health = grpc::health::v1;

absl::Status CheckServer(const std::string& address, CertifiedRole role, const Security& security,
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

}  // namespace arcshard::cli
