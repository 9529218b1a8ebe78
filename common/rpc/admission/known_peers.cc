#include "common/rpc/admission/known_peers.h"

#include <grpcpp/server_context.h>

#include "absl/strings/numbers.h"

namespace arcshard {

void KnownPeers::Add(const grpc::ServerContextBase& context) { Add(context.peer()); }

void KnownPeers::Add(absl::string_view peer) {
  int port = 0;
  if (!absl::SimpleAtoi(peer.substr(peer.rfind(':') + 1), &port)) return;
  MutexLock lock(&mutex_);
  ports_.insert(port);
}

bool KnownPeers::Has(int port) {
  MutexLock lock(&mutex_);
  return ports_.contains(port);
}

void KnownPeers::Forget(int port) {
  MutexLock lock(&mutex_);
  ports_.erase(port);
}

}  // namespace arcshard
