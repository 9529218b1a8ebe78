#include "cli/checkpoint/take_checkpoint.h"

#include <grpcpp/client_context.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/status_macros.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"

namespace arcshard::cli {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(5);

}  // namespace

absl::StatusOr<TakenCheckpoint> TakeCheckpoint(const std::string& address, const Security& security) {
  const std::string name = absl::StrCat("the coordinator at ", address);
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(address, security, CertifiedRole::kCoordinator);
  RETURN_IF_ERROR(AwaitConnected(channel.get(), name, kConnectTimeout));
  grpc::ClientContext context;  // no deadline: the time of a checkpoint depends on the disk
  v1::TakeCheckpointResponse response;
  const auto stub = v1::Coordinator::NewStub(channel);
  const absl::Status status = FromGrpcStatus(stub->TakeCheckpoint(&context, v1::TakeCheckpointRequest(), &response));
  RETURN_IF_ERROR(Annotate(status, name));
  return TakenCheckpoint{response.step(), response.folder()};
}

}  // namespace arcshard::cli
