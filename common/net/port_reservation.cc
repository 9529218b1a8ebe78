#include "common/net/port_reservation.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard {
namespace {

constexpr char kHost[] = "127.0.0.1";

}  // namespace

absl::StatusOr<PortReservation> PortReservation::Take() {
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  const int yes = 1;  // a listener may have the same port, since this socket does not listen
  const bool bound = socket.valid() && setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) == 0 &&
                     bind(socket.get(), raw, size) == 0 && getsockname(socket.get(), raw, &size) == 0;
  if (!bound) {
    return absl::UnavailableError(
        absl::StrCat("cannot reserve a port of ", kHost, ": ", std::generic_category().message(errno)));
  }
  return PortReservation(std::move(socket), ntohs(address.sin_port));
}

std::string PortReservation::address() const { return absl::StrCat(kHost, ":", port_); }

}  // namespace arcshard
