#pragma once

#include <grpcpp/support/server_callback.h>

#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "common/base/mutex.h"
#include "common/rpc/status.h"
#include "common/rpc/stream.h"

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

  // Returns the reactor that gRPC wants back.
  static grpc::ServerBidiReactor<In, Out>* Start(const HandlerFactory& make_handler) {
    auto stream = std::shared_ptr<ServerStream>(new ServerStream());
    stream->self_ = stream;
    stream->handler_ = make_handler(stream);
    stream->StartRead(&stream->incoming_);
    return stream.get();
  }

  bool Send(Out message) override {
    MutexLock lock(&mutex_);
    if (closing_) return false;
    outgoing_.push_back(std::move(message));
    Pump();
    return true;
  }

  void Close(const absl::Status& status) override {
    MutexLock lock(&mutex_);
    if (closing_) return;
    closing_ = true;
    status_ = status;
    Pump();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {  // the client half-closed, or the stream broke: OnCancel tells which
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
    writing_ = false;
    outgoing_.pop_front();
    if (!ok) outgoing_.clear();
    Pump();
  }

  void OnCancel() override {
    MutexLock lock(&mutex_);
    if (status_.ok()) status_ = absl::CancelledError("the stream broke");
    closing_ = true;
    outgoing_.erase(outgoing_.begin() + (writing_ ? 1 : 0), outgoing_.end());
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
    if (writing_ || finished_) return;
    if (!outgoing_.empty()) {
      writing_ = true;
      this->StartWrite(&outgoing_.front());
    } else if (closing_) {
      finished_ = true;
      this->Finish(ToGrpcStatus(status_));
    }
  }

  std::shared_ptr<ServerStream> self_;
  std::unique_ptr<StreamHandler<In>> handler_;
  In incoming_;
  Mutex mutex_;
  std::deque<Out> outgoing_ ABSL_GUARDED_BY(mutex_);  // the first is being written while writing_
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard
