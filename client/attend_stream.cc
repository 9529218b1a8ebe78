#include "client/attend_stream.h"

#include <grpcpp/channel.h>

#include <utility>

#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/status_macros.h"
#include "common/metrics/traffic.h"
#include "common/rpc/client_stream.h"
#include "common/rpc/convert/convert_messages.h"

namespace arcshard::client {
namespace {

// Owns the stub, which has the channel.
class Handler final : public StreamHandler<v1::CoordinatorMessage> {
 public:
  Handler(const std::shared_ptr<grpc::Channel>& channel, ProcessMetrics* metrics, AttendStream::Receiver* receiver)
      : stub_(v1::Coordinator::NewStub(channel)), received_(metrics, kReceived), receiver_(receiver) {}

  v1::Coordinator::Stub* stub() { return stub_.get(); }

  absl::Status OnMessage(const v1::CoordinatorMessage& message) override {
    received_.Count(message);
    if (error_.ok()) error_ = Receive(message);  // else the stream is being cancelled
    return error_;
  }
  void OnClosed(const absl::Status& status) override { receiver_->OnEnded(status, !error_.ok()); }

 private:
  absl::Status Receive(const v1::CoordinatorMessage& message) {
    ASSIGN_OR_RETURN(const CoordinatorMessage received, FromProto(message));
    return receiver_->OnMessage(received);
  }

  const std::unique_ptr<v1::Coordinator::Stub> stub_;
  Traffic received_;
  AttendStream::Receiver* const receiver_;
  absl::Status error_;
};

class GrpcAttendStream final : public AttendStream {
 public:
  GrpcAttendStream(const std::shared_ptr<grpc::Channel>& channel, ProcessMetrics* metrics, Receiver* receiver)
      : sent_(metrics, kSent) {
    auto handler = std::make_unique<Handler>(channel, metrics, receiver);
    v1::Coordinator::Stub* const stub = handler->stub();
    sender_ = ClientStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start(
        std::move(handler),
        [stub](grpc::ClientContext* context, auto* reactor) { stub->async()->Attend(context, reactor); });
  }

  void Send(const ParticipantMessage& message) override {
    for (v1::ParticipantMessage& packed : ToProtos(message)) {
      sent_.Count(packed);
      sender_->Send(std::move(packed));
    }
  }
  void Cancel() override { sender_->Close(absl::CancelledError("the participant ends the stream")); }

 private:
  Traffic sent_;
  std::shared_ptr<StreamSender<v1::ParticipantMessage>> sender_;
};

}  // namespace

std::shared_ptr<AttendStream> AttendStream::Open(const std::shared_ptr<grpc::Channel>& channel, ProcessMetrics* metrics,
                                                 Receiver* receiver) {
  return std::make_shared<GrpcAttendStream>(channel, metrics, receiver);
}

}  // namespace arcshard::client
