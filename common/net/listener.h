#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "common/io/file.h"
#include "common/net/host_port.h"

namespace arcshard {

// TCP sockets that listen on all addresses of a host at one port. A process accepts connections only through it, which
// keeps descriptors free for files (descriptors.h). Nothing here waits. Not thread-safe.
class Listener {
 public:
  // With port 0 the system chooses one. 0.0.0.0 and [::] both mean every address of this machine, IPv4 and IPv6.
  // Unavailable: the name is unknown, the port is in use or the address is not of this host; the message names both.
  static absl::StatusOr<Listener> Open(const HostPort& address);

  int port() const { return port_; }
  // Those to poll: readable while a connection waits.
  const std::vector<FileDescriptor>& sockets() const { return sockets_; }

  enum class Outcome {
    kAccepted,  // `connection` is it: non-blocking, without Nagle's delay
    kNone,      // no connection waits
    kRefused,   // it was closed at once, because the descriptors that are left are kept for files
    kStuck,     // the system has no descriptor or memory left; the connection waits on, so look again later
  };
  struct Accepted {
    Outcome outcome;
    FileDescriptor connection = {};
  };
  // `socket`: one of sockets().
  static Accepted Accept(const FileDescriptor& socket);

 private:
  Listener(std::vector<FileDescriptor> sockets, int port) : sockets_(std::move(sockets)), port_(port) {}

  std::vector<FileDescriptor> sockets_;
  int port_;
};

// The port from which the peer of this connection sends; 0 if the connection has ended.
int PeerPort(const FileDescriptor& connection);

}  // namespace arcshard
