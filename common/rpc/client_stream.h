#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <functional>
#include <memory>
#include <utility>

#include "common/base/mutex.h"
#include "common/rpc/status.h"
#include "common/rpc/stream.h"
#include "common/rpc/write_queue.h"

namespace arcshard {

// One bidirectional stream of a client, over gRPC's callback API. It owns its handler and keeps itself alive until gRPC
// is done with it. Usage:
//
//   std::shared_ptr<StreamSender<Out>> sender = ClientStream<Out, In>::Start(
//       std::move(handler), [&](grpc::ClientContext* context, auto* reactor) { stub->async()->Exchange(context,
//       reactor); });
template <typename Out, typename In>
class ClientStream final : public grpc::ClientBidiReactor<Out, In>, public StreamSender<Out> {
 public:
  using Invoke = std::function<void(grpc::ClientContext*, grpc::ClientBidiReactor<Out, In>*)>;

  static std::shared_ptr<StreamSender<Out>> Start(std::unique_ptr<StreamHandler<In>> handler, const Invoke& invoke) {
    auto stream = std::shared_ptr<ClientStream>(new ClientStream());
    stream->self_ = stream;
    stream->handler_ = std::move(handler);
    invoke(&stream->context_, stream.get());
    stream->AddHold();  // writes come from other threads: gRPC must not be done before the last one
    stream->StartRead(&stream->incoming_);
    stream->StartCall();
    return stream;
  }

  bool Send(Out message) override {
    MutexLock lock(&mutex_);
    if (!queue_.Add(std::move(message))) return false;
    Pump();
    return true;
  }

  void Close(const absl::Status& status) override {
    MutexLock lock(&mutex_);
    if (!status.ok()) context_.TryCancel();
    queue_.Close();
    Pump();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {  // the server has ended the stream, or it broke
      MutexLock lock(&mutex_);
      ended_ = true;
      queue_.Close();
      queue_.Drop();
      Pump();
      return;
    }
    if (absl::Status status = handler_->OnMessage(incoming_); !status.ok()) {
      {
        MutexLock lock(&mutex_);
        if (error_.ok()) error_ = status;
      }
      Close(status);
    }
    this->StartRead(&incoming_);
  }

  void OnWriteDone(bool ok) override {
    MutexLock lock(&mutex_);
    queue_.WriteDone(ok);
    if (!ok) queue_.Close();
    Pump();
  }

  void OnDone(const grpc::Status& status) override {
    absl::Status result = FromGrpcStatus(status);
    {
      MutexLock lock(&mutex_);
      queue_.Close();
      if (!error_.ok()) result = error_;
    }
    handler_->OnClosed(result);
    handler_.reset();
    const std::shared_ptr<ClientStream> last = std::move(self_);
  }

 private:
  ClientStream() = default;

  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (Out* message = queue_.StartWrite()) {
      this->StartWrite(message);
    } else if (queue_.TakeEnd()) {
      if (!ended_) this->StartWritesDone();
      this->RemoveHold();
    }
  }

  std::shared_ptr<ClientStream> self_;
  std::unique_ptr<StreamHandler<In>> handler_;
  grpc::ClientContext context_;
  In incoming_;
  Mutex mutex_;
  WriteQueue<Out> queue_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;  // the server no longer reads
  absl::Status error_ ABSL_GUARDED_BY(mutex_);  // the first one that the handler returned
};

}  // namespace arcshard
