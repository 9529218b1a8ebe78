#pragma once

#include <sys/socket.h>
#include <sys/time.h>

#include "common/io/file.h"
#include "common/net/resolve.h"

namespace arcshard {

// Connects to a port of 127.0.0.1, says nothing, and waits for a minute. Returns whether the server has ended the
// connection by then.
inline bool EndsASilentConnection(int port) {
  const Addresses there = Resolve("127.0.0.1", port, SOCK_STREAM);
  const FileDescriptor silent(socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(silent.get(), there->ai_addr, there->ai_addrlen) != 0) return false;
  const timeval limit = {.tv_sec = 60, .tv_usec = 0};
  setsockopt(silent.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  char buffer[4096];
  ssize_t got = 0;
  do {
    got = recv(silent.get(), buffer, sizeof(buffer), 0);  // perhaps the server's settings, and why it ends
  } while (got > 0);
  return got == 0;
}

}  // namespace arcshard
