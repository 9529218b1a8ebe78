#include "common/rpc/admission/doorkeeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/io/log.h"
#include "common/net/descriptors.h"
#include "common/rpc/security/repeat_filter.h"

namespace arcshard {
namespace {

constexpr size_t kDescriptorsOfAStranger = 2;
constexpr absl::Duration kPauseWhenStuck = absl::Milliseconds(100);
constexpr absl::Duration kPauseWhenFull = absl::Milliseconds(20);  // then somebody may be known

MonotonicTime Now() { return SystemClock().Now(); }

void LogSometimes(const std::string& line) {
  static RepeatFilter* const filter = new RepeatFilter;
  if (filter->Allow(line, SystemClock().Now())) LogInfo(line);
}

int Milliseconds(absl::Duration time) {
  return static_cast<int>(
      absl::ToInt64Milliseconds(absl::Ceil(std::max(time, absl::ZeroDuration()), absl::Milliseconds(1))));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Doorkeeper>> Doorkeeper::Create(Listener listener, Options options, Admit admit) {
  FileDescriptor wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return ErrnoStatus(errno, "eventfd", "cannot make one for the server's connections");
  return absl::WrapUnique(new Doorkeeper(std::move(listener), options, std::move(admit), std::move(wake)));
}

Doorkeeper::Doorkeeper(Listener listener, Options options, Admit admit, FileDescriptor wake)
    : listener_(std::move(listener)),
      options_(options),
      admit_(std::move(admit)),
      wake_(std::move(wake)),
      thread_([this] { Loop(); }) {}

Doorkeeper::~Doorkeeper() {
  eventfd_write(wake_.get(), 1);
  thread_.join();
}

void Doorkeeper::Loop() {
  const size_t doors = listener_.sockets().size();
  bool stuck = false;
  while (true) {
    if (Full()) Update({});
    // Where the oldest stranger may not be ended yet, nobody is let in.
    absl::Duration shut = absl::ZeroDuration();
    if (Full()) shut = std::min(strangers_.front().since + options_.patience - Now(), kPauseWhenFull);
    if (stuck) shut = std::max(shut, kPauseWhenStuck);
    const bool open = shut <= absl::ZeroDuration();
    std::vector<pollfd> polled = {{wake_.get(), POLLIN, 0}};
    const short at_doors = open ? POLLIN : 0;
    for (const FileDescriptor& socket : listener_.sockets()) polled.push_back({socket.get(), at_doors, 0});
    for (const Stranger& stranger : strangers_) polled.push_back({stranger.duplicate.get(), POLLRDHUP, 0});
    const int ready = poll(polled.data(), polled.size(), open ? -1 : Milliseconds(shut));
    if (ready <= 0) {
      stuck = ready < 0 && errno != EINTR;
      continue;
    }
    if (polled[0].revents != 0) return;
    std::vector<int> ended;
    for (size_t i = 1 + doors; i < polled.size(); ++i) {
      if (polled[i].revents != 0) ended.push_back(polled[i].fd);
    }
    Update(ended);
    for (size_t i = 0; i < doors; ++i) {
      if (!open || polled[1 + i].revents == 0) continue;
      stuck = !AcceptFrom(listener_.sockets()[i]);
      break;  // whether the next may come in has to be looked at again
    }
  }
}

bool Doorkeeper::Full() const {
  const size_t by_descriptors = static_cast<size_t>(FirstReservedDescriptor()) / 4 / kDescriptorsOfAStranger;
  return strangers_.size() >= std::min(options_.most_strangers, std::max<size_t>(by_descriptors, 1));
}

void Doorkeeper::Update(const std::vector<int>& ended) {
  strangers_.remove_if([&](const Stranger& stranger) {
    const int fd = stranger.duplicate.get();
    return std::find(ended.begin(), ended.end(), fd) != ended.end() || options_.known->Has(stranger.port);
  });
}

bool Doorkeeper::AcceptFrom(const FileDescriptor& socket) {
  Listener::Accepted accepted = Listener::Accept(socket);
  switch (accepted.outcome) {
    case Listener::Outcome::kNone:
      return true;
    case Listener::Outcome::kStuck:
      LogSometimes("no descriptor is left for a connection: raise the limit (ulimit -n)");
      return false;
    case Listener::Outcome::kRefused:
      LogSometimes(
          absl::StrCat("refused a connection: ", FirstReservedDescriptor(),
                       " descriptors are in use, and the others are kept for files (ulimit -n raises the limit)"));
      return true;
    case Listener::Outcome::kAccepted:
      break;
  }
  if (options_.known != nullptr) {
    const int port = PeerPort(accepted.connection);
    options_.known->Forget(port);
    FileDescriptor duplicate(fcntl(accepted.connection.get(), F_DUPFD_CLOEXEC, 0));
    if (!duplicate.valid()) return false;
    if (Full()) EndOldest();
    strangers_.push_back({port, Now(), std::move(duplicate)});
  }
  admit_(std::move(accepted.connection), socket.get());
  return true;
}

void Doorkeeper::EndOldest() {
  shutdown(strangers_.front().duplicate.get(), SHUT_RDWR);
  strangers_.pop_front();
  LogSometimes("ended a connection whose peer had not said who it is, to let the next one in");
}

}  // namespace arcshard
