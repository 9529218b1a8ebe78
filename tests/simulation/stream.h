#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "tests/simulation/world.h"

namespace arcshard::simulation {

// One end of a stream, with what its process does about it.
template <typename Received>
struct StreamEnd {
  std::weak_ptr<Process> process;  // weak: processes hold their streams
  std::function<void(const Received&)> on_message;
  std::function<void(const absl::Status&)> on_closed;  // called once, unless this end has closed the stream
};

// A connection between two processes: messages arrive in order, after delays. When a process dies, the other end is
// told that the stream broke; where the link is cut nobody is told anything, until it is healed: the stream is broken
// then.
template <typename ToServer, typename ToClient>
class Stream : public std::enable_shared_from_this<Stream<ToServer, ToClient>> {
 public:
  static std::shared_ptr<Stream> Connect(World* world, StreamEnd<ToClient> client, StreamEnd<ToServer> server) {
    std::shared_ptr<Stream> stream(new Stream(world, std::move(client), std::move(server)));
    const std::weak_ptr<Stream> weak = stream;
    const auto broken = [weak] {
      if (const auto self = weak.lock()) self->Break();
    };
    stream->client_.process.lock()->OnDeath(broken);
    stream->server_.process.lock()->OnDeath(broken);
    return stream;
  }

  void SendToServer(ToServer message) { Send(server_, &server_at_, std::move(message)); }
  void SendToClient(ToClient message) { Send(client_, &client_at_, std::move(message)); }
  // Ends the stream from one end; what was sent before arrives first.
  void CloseByServer(const absl::Status& status) { Close(server_, client_, &client_at_, status); }
  void CloseByClient(const absl::Status& status) { Close(client_, server_, &server_at_, status); }
  void Break() {
    const absl::Status status = absl::UnavailableError("stream broken");
    TellClosed(client_, &client_at_, status);
    TellClosed(server_, &server_at_, status);
  }

 private:
  Stream(World* world, StreamEnd<ToClient> client, StreamEnd<ToServer> server)
      : world_(world),
        client_host_(client.process.lock()->host()),
        server_host_(server.process.lock()->host()),
        client_(std::move(client)),
        server_(std::move(server)) {}

  MonotonicTime NextArrival(MonotonicTime* last) {
    *last = std::max(*last, world_->time()->Now() + world_->Delay());
    return *last;
  }
  bool IsCut() const { return world_->IsCut(client_host_, server_host_); }
  void BreakOnceHealed() {
    if (std::exchange(waits_for_heal_, true)) return;
    world_->OnHeal([self = this->shared_from_this()] { self->Break(); });
  }

  template <typename Received>
  void Send(StreamEnd<Received>& to, MonotonicTime* last, Received message) {
    const absl::Duration delay = NextArrival(last) - world_->time()->Now();
    world_->Later(to.process.lock(), delay, [self = this->shared_from_this(), &to, message = std::move(message)] {
      if (self->IsCut()) return self->BreakOnceHealed();
      if (to.on_closed && !self->waits_for_heal_) to.on_message(message);
    });
  }
  template <typename Received, typename Other>
  void Close(StreamEnd<Received>& by, StreamEnd<Other>& to, MonotonicTime* last, const absl::Status& status) {
    by.on_closed = nullptr;
    TellClosed(to, last, status);
  }
  template <typename Received>
  void TellClosed(StreamEnd<Received>& to, MonotonicTime* last, const absl::Status& status) {
    const absl::Duration delay = NextArrival(last) - world_->time()->Now();
    world_->Later(to.process.lock(), delay, [self = this->shared_from_this(), &to, status] {
      if (self->IsCut()) return self->BreakOnceHealed();
      if (const auto on_closed = std::exchange(to.on_closed, nullptr)) on_closed(status);
    });
  }

  World* const world_;
  const std::string client_host_, server_host_;
  StreamEnd<ToClient> client_;
  StreamEnd<ToServer> server_;
  MonotonicTime client_at_, server_at_;  // when the last message arrives
  bool waits_for_heal_ = false;          // a message was lost
};

}  // namespace arcshard::simulation
