#include "cli/healthcheck/check_worker.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/net/host_port.h"
#include "common/net/resolve.h"

namespace arcshard::cli {
namespace {

// Limits what is called next: SO_SNDTIMEO also connect, SO_RCVTIMEO recv. 0 would be no limit.
void Limit(const FileDescriptor& socket, int option, absl::Duration left) {
  const timeval limit = absl::ToTimeval(std::max(left, absl::Milliseconds(1)));
  setsockopt(socket.get(), SOL_SOCKET, option, &limit, sizeof(limit));
}

// Sends GET /metrics and returns the first line of the answer.
absl::StatusOr<std::string> AnswerOf(const std::string& address, absl::Duration timeout) {
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  ASSIGN_OR_RETURN(const HostPort there, ParsePeerAddress(address));
  std::string reason;
  const Addresses addresses = Resolve(there.host, there.port, SOCK_STREAM, &reason);
  if (addresses == nullptr) return absl::UnavailableError(reason);
  const FileDescriptor socket(::socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Limit(socket, SO_SNDTIMEO, deadline - clock.Now());
  if (connect(socket.get(), addresses->ai_addr, addresses->ai_addrlen) != 0) {
    return ErrnoStatus(errno, address, "cannot connect");
  }
  const std::string request = absl::StrCat("GET /metrics HTTP/1.0\r\nHost: ", address, "\r\n\r\n");
  if (send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return ErrnoStatus(errno, address, "cannot send");
  }
  Limit(socket, SO_RCVTIMEO, deadline - clock.Now());
  std::string answer(64, '\0');
  const ssize_t size = recv(socket.get(), answer.data(), answer.size(), 0);
  if (size < 0) return ErrnoStatus(errno, address, "cannot receive");
  answer.resize(static_cast<size_t>(size));
  return answer.substr(0, answer.find('\r'));
}

}  // namespace

absl::Status CheckWorker(const std::string& address, absl::Duration timeout) {
  const absl::StatusOr<std::string> answer = AnswerOf(address, timeout);
  if (!answer.ok()) return Annotate(answer.status(), absl::StrCat("no worker answers at ", address));
  if (absl::StartsWith(*answer, "HTTP/1") && absl::StrContains(*answer, " 200 ")) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the server at ", address, " is not a worker: it answered '", *answer, "'"));
}

}  // namespace arcshard::cli
