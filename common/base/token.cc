#include "common/base/token.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace arcshard {

namespace {

// The same bytes as getrandom's, where a kernel or a container does not allow that call.
ssize_t ReadRandom(char* out, size_t bytes) {
  const int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t taken = read(fd, out, bytes);
  close(fd);
  return taken;
}

}  // namespace

std::string NewToken() {
  std::string token(kTokenBytes, '\0');
  ssize_t taken;
  do {
    taken = getrandom(token.data(), token.size(), 0);
  } while (taken < 0 && errno == EINTR);
  if (taken < 0) taken = ReadRandom(token.data(), token.size());
  if (taken != static_cast<ssize_t>(token.size())) {  // the kernel never returns so few bytes in parts
    std::perror("getrandom");
    std::abort();
  }
  return token;
}

bool SameToken(absl::string_view one, absl::string_view other) {
  if (one.size() != other.size()) return false;
  unsigned char difference = 0;
  for (size_t i = 0; i < one.size(); ++i) difference |= static_cast<unsigned char>(one[i] ^ other[i]);
  const volatile unsigned char all = difference;  // volatile: the compiler must not stop at the first difference
  return all == 0;
}

}  // namespace arcshard
