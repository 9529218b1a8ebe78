#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <memory>
#include <set>

#include "arcshard/v1/coordinator.pb.h"
#include "common/base/mutex.h"

namespace arcshard::coordinator {

class WatchStream;

// Sends each report to all callers of Watch. Thread-safe; never blocks. Must outlive the server. Lock order: this lock,
// then that of a stream.
class WatchHub {
 public:
  // `last`: the run has ended, and each stream closes with OK once it has sent this report.
  void Publish(const v1::Progress& progress, bool last);
  static constexpr size_t kMostStreams = 64;

  // Returns gRPC's reactor of a new stream, which sends the latest report at once and then those that follow. While one
  // is being sent, a newer report replaces the waiting one: a slow reader misses reports, but never the last. Null:
  // there are kMostStreams.
  grpc::ServerWriteReactor<v1::Progress>* Watch();

 private:
  friend class WatchStream;
  void Remove(const std::shared_ptr<WatchStream>& stream);

  Mutex mutex_;
  v1::Progress latest_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::shared_ptr<WatchStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::coordinator
