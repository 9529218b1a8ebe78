#pragma once

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <utility>

#include "common/base/mutex.h"
#include "common/rpc/status.h"
#include "common/rpc/stream.h"
#include "common/rpc/write_queue.h"

namespace arcshard {

// One bidirectional stream of a server, over gRPC's callback API. It owns its handler and keeps itself alive until gRPC
// is done with it. Usage, in a CallbackService:
//
//   grpc::ServerBidiReactor<In, Out>* Exchange(grpc::CallbackServerContext* context) override {
//     return ServerStream<In, Out>::Start([this](std::shared_ptr<StreamSender<Out>> sender) { return
//     MakeHandler(sender); });
//   }
template <typename In, typename Out>
class ServerStream final : public grpc::ServerBidiReactor<In, Out>, public StreamSender<Out> {
 public:
  using HandlerFactory = std::function<std::unique_ptr<StreamHandler<In>>(std::shared_ptr<StreamSender<Out>>)>;

  // Returns the reactor that the service hands to gRPC.
  static grpc::ServerBidiReactor<In, Out>* Start(const HandlerFactory& make_handler) {
    auto stream = std::shared_ptr<ServerStream>(new ServerStream());
    stream->self_ = stream;
    stream->handler_ = make_handler(stream);
    stream->StartRead(&stream->incoming_);
    return stream.get();
  }

  bool Send(Out message) override {
    MutexLock lock(&mutex_);
    if (!queue_.Add(std::move(message))) return false;
    Pump();
    return true;
  }

  void Close(const absl::Status& status) override {
    MutexLock lock(&mutex_);
    if (queue_.closed()) return;
    queue_.Close();
    status_ = status;
    Pump();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {  // the client half-closed; or the stream broke, and OnCancel is called too
      Close(absl::OkStatus());
      return;
    }
    if (absl::Status status = handler_->OnMessage(incoming_); !status.ok()) {
      Close(status);
      return;
    }
    this->StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mutex_);
    queue_.WriteDone(ok);  // if it failed OnCancel follows, and closes the queue
    Pump();
  }

  void OnCancel() override {
    MutexLock lock(&mutex_);
    if (status_.ok()) status_ = absl::CancelledError("the stream broke");
    queue_.Close();
    queue_.Drop();
    Pump();
  }

  void OnDone() override {
    absl::Status status;
    {
      MutexLock lock(&mutex_);
      status = status_;
    }
    handler_->OnClosed(status);
    handler_.reset();  // it holds this stream as its sender
    const std::shared_ptr<ServerStream> last = std::move(self_);
  }

 private:
  ServerStream() = default;

  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (Out* message = queue_.StartWrite()) {
      this->StartWrite(message);
    } else if (queue_.TakeEnd()) {
      this->Finish(ToGrpcStatus(status_));
    }
  }

  std::shared_ptr<ServerStream> self_;
  std::unique_ptr<StreamHandler<In>> handler_;
  In incoming_;
  Mutex mutex_;
  WriteQueue<Out> queue_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // with which the stream ends
};

}  // namespace arcshard
