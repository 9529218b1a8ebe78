#pragma once

#include <set>
#include <string>

#include "absl/strings/string_view.h"
#include "common/base/mutex.h"

namespace grpc {
class ServerContextBase;
}

namespace arcshard {

// Which connections of a server come from peers that have proven who they are. The service that checks the proof adds
// them; the server spares their connections when it has to end some (Doorkeeper). A peer is known by its port alone: in
// the rare case that two machines send from the same one, both are spared. Thread-safe.
class KnownPeers {
 public:
  // The peer of this call is known from now on, until its connection ends.
  void Add(const grpc::ServerContextBase& context);
  void Add(absl::string_view peer);  // as gRPC names it: "ipv4:10.0.0.1:7000", "ipv6:%5B::1%5D:7000"

  bool Has(int port);
  // A new connection comes from this port: what was known about the one before does not hold for it.
  void Forget(int port);

 private:
  Mutex mutex_;
  std::set<int> ports_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard
