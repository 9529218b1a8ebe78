#include "client/participant.h"

#include <cassert>
#include <utility>

#include "client/grpc_participant.h"
#include "common/base/status_macros.h"
#include "common/rpc/endpoint.h"

namespace arcshard::client {

absl::StatusOr<std::unique_ptr<Participant>> Participant::Attend(ParticipantOptions options,
                                                                 ParticipantEvents* events) {
  assert(options.clock != nullptr && events != nullptr);
  const std::shared_ptr<grpc::Channel> channel =
      MakeChannel(options.coordinator, options.security, CertifiedRole::kCoordinator);
  RETURN_IF_ERROR(AwaitConnected(channel.get(), Whom(options.coordinator), options.connect_timeout));
  return std::make_unique<GrpcParticipant>(std::move(options), channel, events);
}

}  // namespace arcshard::client
