#include "worker/healthcheck.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "common/net/host_port.h"
#include "common/net/resolve.h"
#include "common/program/command_line.h"

namespace arcshard::worker {
namespace {

// Sends GET /metrics and returns the first line of the answer. Connecting and reading take at most `timeout` each.
absl::StatusOr<std::string> AnswerOf(const std::string& address, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const HostPort there, ParsePeerAddress(address));
  std::string reason;
  const Addresses addresses = Resolve(there.host, there.port, SOCK_STREAM, &reason);
  if (addresses == nullptr) return absl::UnavailableError(reason);
  const FileDescriptor socket(::socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit = absl::ToTimeval(timeout);
  setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));  // limits connect too
  if (connect(socket.get(), addresses->ai_addr, addresses->ai_addrlen) != 0) {
    return ErrnoStatus(errno, address, "cannot connect");
  }
  const std::string request = absl::StrCat("GET /metrics HTTP/1.0\r\nHost: ", address, "\r\n\r\n");
  if (send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return ErrnoStatus(errno, address, "cannot send");
  }
  std::string answer(64, '\0');
  const ssize_t size = recv(socket.get(), answer.data(), answer.size(), 0);
  if (size < 0) return ErrnoStatus(errno, address, "cannot receive");
  answer.resize(static_cast<size_t>(size));
  return answer.substr(0, answer.find('\r'));
}

absl::Status Check(const std::string& address, absl::Duration timeout) {
  const absl::StatusOr<std::string> answer = AnswerOf(address, timeout);
  if (!answer.ok()) return Annotate(answer.status(), absl::StrCat("no worker answers at ", address));
  if (absl::StartsWith(*answer, "HTTP/1") && absl::StrContains(*answer, " 200 ")) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the server at ", address, " is not a worker: it answered '", *answer, "'"));
}

}  // namespace

std::optional<int> HealthcheckCommand(int argc, char** argv) {
  if (argc < 2 || absl::string_view(argv[1]) != "healthcheck") return std::nullopt;
  CommandLineParser parser("arcshard-worker healthcheck",
                           "Exits with 0 if the worker on this machine answers on its metrics port, otherwise with 1.",
                           nullptr);
  CommandLine options = parser.root();
  std::string address = "127.0.0.1:9400";
  std::string timeout_text = "5s";
  options.Add("--address", &address, "host:port of the worker's --metrics-listen")
      .OrFromEnvironment("ARCSHARD_HEALTH_ADDRESS")
      .ShowDefault()
      .Check(PeerAddressProblem);
  options.Add("--timeout", &timeout_text, "How long to wait for an answer").ShowDefault();
  if (const std::optional<int> exit_code = ParseCommandLine(&parser, argc - 1, argv + 1)) return exit_code;
  absl::Duration timeout;
  if (const std::optional<int> exit_code = ParseDurationOption("--timeout", timeout_text, &timeout)) return exit_code;
  const absl::Status status = Check(address, timeout);
  if (status.ok()) return EXIT_SUCCESS;
  LogError(status.message());
  return EXIT_FAILURE;
}

}  // namespace arcshard::worker
