#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/io/file.h"

namespace arcshard {

// A TCP port of 127.0.0.1 that is kept for whoever is told of it. A Listener can open it, also again and again; between
// two of them the system gives it to no connection that goes out and to nobody who asks for any free port. Without it a
// process that is to listen where its last life did may find that a connection has taken the port.
class PortReservation {
 public:
  // Unavailable: no port is free.
  static absl::StatusOr<PortReservation> Take();

  std::string address() const;  // "127.0.0.1:4711"

 private:
  PortReservation(FileDescriptor socket, int port) : socket_(std::move(socket)), port_(port) {}

  FileDescriptor socket_;  // bound, and never listens
  int port_;
};

}  // namespace arcshard
