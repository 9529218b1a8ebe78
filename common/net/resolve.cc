#include "common/net/resolve.h"

#include "absl/strings/str_cat.h"

namespace arcshard {

Addresses Resolve(const std::string& host, int port, int type, std::string* error) {
  addrinfo hints = {};
  hints.ai_socktype = type;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found);
  if (code != 0 && error != nullptr) *error = gai_strerror(code);
  return Addresses(code == 0 ? found : nullptr);
}

}  // namespace arcshard
