#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/rpc/convert/convert_messages.h"
#include "common/rpc/server_stream.h"

namespace arcshard::client {

// A coordinator that does what a test says. It keeps what it receives, by stream, in the order in which the streams
// were opened. Thread-safe; outlives its server.
class FakeCoordinator final : public v1::Coordinator::CallbackService {
 public:
  // What every registration is answered with from now on; nullopt: with nothing.
  void AnswerWith(std::optional<Welcome> welcome) {
    MutexLock lock(&mutex_);
    welcome_ = std::move(welcome);
  }

  // What is done when a registration comes, before it is answered.
  void OnRegistration(std::function<void()> what) {
    MutexLock lock(&mutex_);
    on_registration_ = std::move(what);
  }

  void Send(size_t stream, const CoordinatorMessage& message) {
    if (const Sender sender = SenderOf(stream); sender != nullptr) sender->Send(ToProto(message));
  }
  void Close(size_t stream, const absl::Status& status) {
    if (const Sender sender = SenderOf(stream); sender != nullptr) sender->Close(status);
  }

  // Waits until a participant has registered on stream number `stream`, from 0; its registration.
  v1::Register AwaitRegistration(size_t stream) { return Await(stream, v1::ParticipantMessage::kRegister).register_(); }
  // Waits for the first message of a kind on a stream.
  v1::ParticipantMessage Await(size_t stream, v1::ParticipantMessage::MessageCase kind) {
    MutexLock lock(&mutex_);
    while (true) {
      if (stream < streams_.size()) {
        for (const v1::ParticipantMessage& message : streams_[stream].received) {
          if (message.message_case() == kind) return message;
        }
      }
      changed_.Wait(&mutex_);
    }
  }
  void AwaitEnd(size_t stream) {
    MutexLock lock(&mutex_);
    while (stream >= streams_.size() || streams_[stream].sender != nullptr) changed_.Wait(&mutex_);
  }

  size_t streams() {
    MutexLock lock(&mutex_);
    return streams_.size();
  }
  size_t Count(size_t stream, v1::ParticipantMessage::MessageCase kind) {
    MutexLock lock(&mutex_);
    size_t count = 0;
    for (const v1::ParticipantMessage& message : streams_.at(stream).received) count += message.message_case() == kind;
    return count;
  }

  grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* Attend(
      grpc::CallbackServerContext*) override {
    return ServerStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start(
        [this](Sender sender) { return std::make_unique<Handler>(this, Add(std::move(sender))); });
  }

 private:
  using Sender = std::shared_ptr<StreamSender<v1::CoordinatorMessage>>;

  struct Stream {
    Sender sender;  // null: the stream has ended
    std::vector<v1::ParticipantMessage> received = {};
  };

  class Handler final : public StreamHandler<v1::ParticipantMessage> {
   public:
    Handler(FakeCoordinator* owner, size_t stream) : owner_(owner), stream_(stream) {}
    absl::Status OnMessage(const v1::ParticipantMessage& message) override {
      owner_->Receive(stream_, message);
      return absl::OkStatus();
    }
    void OnClosed(const absl::Status&) override { owner_->End(stream_); }

   private:
    FakeCoordinator* const owner_;
    const size_t stream_;
  };

  size_t Add(Sender sender) {
    MutexLock lock(&mutex_);
    streams_.push_back({std::move(sender)});
    return streams_.size() - 1;
  }
  void Receive(size_t stream, const v1::ParticipantMessage& message) {
    std::optional<Welcome> welcome;
    if (message.has_register_()) {
      if (const std::function<void()> what = TakeOnRegistration()) what();
      MutexLock lock(&mutex_);
      welcome = welcome_;
    }
    // Before the test hears of the registration: what it sends then comes after the welcome.
    if (welcome.has_value()) Send(stream, *welcome);
    MutexLock lock(&mutex_);
    streams_[stream].received.push_back(message);
    changed_.NotifyAll();
  }
  std::function<void()> TakeOnRegistration() {
    MutexLock lock(&mutex_);
    return std::exchange(on_registration_, nullptr);
  }
  void End(size_t stream) {
    Sender last;  // destroyed without the lock
    MutexLock lock(&mutex_);
    streams_[stream].sender.swap(last);
    changed_.NotifyAll();
  }
  Sender SenderOf(size_t stream) {
    MutexLock lock(&mutex_);
    return streams_.at(stream).sender;
  }

  Mutex mutex_;
  CondVar changed_;
  std::optional<Welcome> welcome_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_registration_ ABSL_GUARDED_BY(mutex_);
  std::vector<Stream> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::client
