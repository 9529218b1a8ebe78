#include "common/base/token.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

namespace arcshard {

std::string NewToken() {
  std::string token(kTokenBytes, '\0');
  ssize_t taken;
  do {
    taken = getrandom(token.data(), token.size(), 0);
  } while (taken < 0 && errno == EINTR);
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
