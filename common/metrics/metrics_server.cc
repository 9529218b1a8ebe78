#include "common/metrics/metrics_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <list>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/metrics/http_exchange.h"
#include "common/net/host_port.h"
#include "prometheus/text_serializer.h"

namespace arcshard {
namespace {

constexpr size_t kMostClients = 64;
constexpr absl::Duration kPauseWhenStuck = absl::Milliseconds(100);

MonotonicTime Now() { return SystemClock().Now(); }

// One connection: reads a request, sends the answer, and waits until the client has closed it too.
class Client {
 public:
  Client(FileDescriptor connection, std::function<std::string()> page, MonotonicTime give_up)
      : connection_(std::move(connection)), exchange_(std::move(page)), give_up_(give_up) {}

  int fd() const { return connection_.get(); }
  MonotonicTime give_up() const { return give_up_; }
  short awaits() const { return exchange_.unsent().empty() ? POLLIN : POLLOUT; }

  // Does what is possible without waiting. False: the connection has ended.
  bool Proceed() {
    if (exchange_.unsent().empty()) return Read();
    const ssize_t sent = send(fd(), exchange_.unsent().data(), exchange_.unsent().size(), MSG_NOSIGNAL);
    if (sent < 0) return Again();
    exchange_.Sent(static_cast<size_t>(sent));
    // Closing while bytes of the client wait here would make the system throw away what the client has not yet read.
    if (exchange_.unsent().empty()) shutdown(fd(), SHUT_WR);
    return true;
  }

 private:
  static bool Again() { return errno == EAGAIN || errno == EINTR; }

  bool Read() {
    char buffer[4096];
    const ssize_t got = recv(fd(), buffer, sizeof(buffer), 0);
    if (got < 0) return Again();
    if (got == 0) return false;
    exchange_.Receive(absl::string_view(buffer, static_cast<size_t>(got)));
    return true;
  }

  const FileDescriptor connection_;
  HttpExchange exchange_;
  const MonotonicTime give_up_;
};

// What the server's thread does.
class Serving {
 public:
  Serving(Listener listener, int wake, std::shared_ptr<ScrapedMetrics> metrics, absl::Duration time_for_client)
      : listener_(std::move(listener)), wake_(wake), metrics_(std::move(metrics)), time_for_client_(time_for_client) {}

  void Loop() {
    while (true) {
      std::vector<pollfd> polled = {{wake_, POLLIN, 0}};
      const short at_door = stuck_ ? 0 : POLLIN;
      for (const FileDescriptor& socket : listener_.sockets()) polled.push_back({socket.get(), at_door, 0});
      for (const Client& client : clients_) polled.push_back({client.fd(), client.awaits(), 0});
      if (poll(polled.data(), polled.size(), Timeout()) < 0) continue;
      if (polled[0].revents != 0) return;
      size_t next = 1 + listener_.sockets().size();
      const MonotonicTime now = Now();
      clients_.remove_if([&](Client& client) {
        const bool ready = polled[next++].revents != 0;
        return (ready && !client.Proceed()) || now >= client.give_up();
      });
      stuck_ = false;
      for (size_t i = 0; i < listener_.sockets().size(); ++i) {
        if (polled[1 + i].revents != 0) AcceptFrom(listener_.sockets()[i]);
      }
    }
  }

 private:
  // Milliseconds until something is due; -1: nothing is.
  int Timeout() const {
    if (stuck_) return static_cast<int>(absl::ToInt64Milliseconds(kPauseWhenStuck));
    if (clients_.empty()) return -1;
    const absl::Duration left = std::max(clients_.front().give_up() - Now(), absl::ZeroDuration());
    return static_cast<int>(absl::ToInt64Milliseconds(absl::Ceil(left, absl::Milliseconds(1))));
  }

  void AcceptFrom(const FileDescriptor& socket) {
    Listener::Accepted accepted = Listener::Accept(socket);
    stuck_ = accepted.outcome == Listener::Outcome::kStuck;
    if (accepted.outcome != Listener::Outcome::kAccepted) return;
    if (clients_.size() >= kMostClients) clients_.pop_front();
    clients_.emplace_back(
        std::move(accepted.connection), [this] { return prometheus::TextSerializer().Serialize(metrics_->Collect()); },
        Now() + time_for_client_);
  }

  const Listener listener_;
  const int wake_;
  const std::shared_ptr<ScrapedMetrics> metrics_;
  const absl::Duration time_for_client_;
  std::list<Client> clients_;  // the oldest first
  bool stuck_ = false;         // the system has no descriptor for the connection that waits
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Create(const MetricRegistry& registry,
                                                                     absl::string_view address,
                                                                     absl::Duration time_for_client) {
  const absl::StatusOr<HostPort> parts = ParseHostPort(address);
  if (!parts.ok()) return Annotate(parts.status(), "metrics cannot be served");
  absl::StatusOr<Listener> listener = Listener::Open(*parts);
  if (!listener.ok()) return Annotate(listener.status(), "metrics cannot be served");
  FileDescriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return ErrnoStatus(errno, "eventfd", "cannot make one for the metrics' server");
  return absl::WrapUnique(
      new MetricsServer(*std::move(listener), std::move(wake), registry.scraped(), time_for_client));
}

MetricsServer::MetricsServer(Listener listener, FileDescriptor wake, std::shared_ptr<ScrapedMetrics> metrics,
                             absl::Duration time_for_client)
    : port_(listener.port()),
      wake_(std::move(wake)),
      thread_([serving = std::make_shared<Serving>(std::move(listener), wake_.get(), std::move(metrics),
                                                   time_for_client)] { serving->Loop(); }) {}

MetricsServer::~MetricsServer() {
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

}  // namespace arcshard
