#pragma once

#include <memory>

#include "absl/status/status.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/messages.h"

namespace grpc {
class Channel;
}  // namespace grpc

namespace arcshard::client {

// One stream of Coordinator.Attend, without protobuf. Thread-safe, and may be kept after the stream has ended.
class AttendStream {
 public:
  // Receives what the coordinator sends. Called by gRPC's threads, one call at a time; must not block.
  class Receiver {
   public:
    virtual ~Receiver() = default;
    // A status that is not OK cancels the stream.
    virtual absl::Status OnMessage(const CoordinatorMessage& message) = 0;
    // The last call, made exactly once. own_error: `status` is what OnMessage returned, or a message was none;
    // otherwise it is the coordinator's, or gRPC's where the stream broke.
    virtual void OnEnded(const absl::Status& status, bool own_error) = 0;
  };

  virtual ~AttendStream() = default;

  // Opens a stream, on which the first message has to be a Registration. The stream keeps the channel until it has
  // ended. metrics: counts messages and bytes; null: no counting. `receiver` outlives the stream, until OnEnded
  // returns.
  static std::shared_ptr<AttendStream> Open(const std::shared_ptr<grpc::Channel>& channel, ProcessMetrics* metrics,
                                            Receiver* receiver);

  // Never blocks. Messages on a stream that has ended are dropped.
  virtual void Send(const ParticipantMessage& message) = 0;
  // Ends the stream at once; OnEnded follows, with Cancelled unless the coordinator has ended it before.
  virtual void Cancel() = 0;
};

}  // namespace arcshard::client
