#include "launcher/status.h"

#include <grpcpp/client_context.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/status_macros.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"
#include "launcher/run_folder.h"
#include "launcher/status_text.h"

namespace arcshard::launcher {
namespace {

absl::StatusOr<v1::RunStatus> Ask(const std::string& coordinator, absl::Duration timeout) {
  const std::string whom = absl::StrCat("the coordinator at ", coordinator);
  const absl::Time deadline = absl::Now() + timeout;
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(coordinator);
  RETURN_IF_ERROR(AwaitConnected(channel.get(), whom, timeout));
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  v1::RunStatus status;
  const std::unique_ptr<v1::Coordinator::Stub> stub = v1::Coordinator::NewStub(channel);
  RETURN_IF_ERROR(Annotate(FromGrpcStatus(stub->GetStatus(&context, v1::StatusRequest(), &status)), whom));
  return status;
}

}  // namespace

absl::Status ShowStatus(const StatusOptions& options) {
  std::string coordinator = options.coordinator;
  if (coordinator.empty()) {
    ASSIGN_OR_RETURN(coordinator, RunFolder::CoordinatorOf(options.run_folder));
  }
  absl::StatusOr<v1::RunStatus> status = Ask(coordinator, options.timeout);
  if (!status.ok() && !options.run_folder.empty()) return Annotate(status.status(), options.run_folder);
  RETURN_IF_ERROR(status.status());
  const std::string text = options.json ? StatusJson(*status, coordinator) : StatusText(*status, coordinator);
  std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 ? absl::OkStatus() : absl::UnavailableError("stdout cannot be written to");
}

}  // namespace arcshard::launcher
