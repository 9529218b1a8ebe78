#pragma once

#include <functional>
#include <list>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/io/file.h"
#include "common/net/listener.h"
#include "common/rpc/admission/known_peers.h"

namespace arcshard {

// Accepts the connections of a server, on a thread of its own, so that strangers cannot use up what the process needs:
//
// - Connections leave descriptors for files (Listener).
// - Few connections at once are those of strangers: peers that have not proven who they are (KnownPeers). They take at
//   most a quarter of the descriptors that connections may have. One more waits until one of them is known, or until
//   the oldest has had `patience`, which then is ended. So who connects and says nothing keeps nobody out, and a crowd
//   of members that come at once is served in turn.
class Doorkeeper {
 public:
  struct Options {
    KnownPeers* known = nullptr;  // outlives the doorkeeper; null: nobody counts as a stranger
    size_t most_strangers = 32;
    absl::Duration patience = absl::Seconds(1);  // as long as a try to connect of ours takes at most (MakeChannel)
  };
  // Takes a connection that was accepted at `listener`. Called by the doorkeeper's thread; must not block.
  using Admit = std::function<void(FileDescriptor connection, int listener)>;

  // Errors are those of eventfd, such as ResourceExhausted.
  static absl::StatusOr<std::unique_ptr<Doorkeeper>> Create(Listener listener, Options options, Admit admit);
  ~Doorkeeper();  // stops to listen; connections that were admitted stay

 private:
  // A connection of a stranger. The second descriptor of it tells when it has ended, whoever ended it.
  struct Stranger {
    int port;
    MonotonicTime since;
    FileDescriptor duplicate;
  };

  Doorkeeper(Listener listener, Options options, Admit admit, FileDescriptor wake);

  void Loop();
  // Forgets the strangers that have ended or are known by now.
  void Update(const std::vector<int>& ended);
  bool Full() const;
  // False: the system has no descriptor left.
  bool AcceptFrom(const FileDescriptor& socket);
  void EndOldest();

  const Listener listener_;
  const Options options_;
  const Admit admit_;
  const FileDescriptor wake_;
  std::list<Stranger> strangers_;  // the oldest first; only the thread uses it
  std::thread thread_;
};

}  // namespace arcshard
