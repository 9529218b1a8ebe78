#pragma once

#include <grpcpp/support/server_callback.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "arcshard/v1/shard.pb.h"
#include "common/base/mutex.h"
#include "common/metrics/traffic.h"
#include "common/protocol/types.h"
#include "shard_server/service/attached_state.h"

namespace arcshard::shard {

class ReplayStream;

// The calls of Shard.Replay, by other shards:
//
//   a newer view than this shard's ──► waits for the view ──► proven by its token ──► waits for Joined ──► sends ──►
//   ends
//
// A peer may know a view earlier than this shard does, and this shard may have to apply a decision before its log has
// all records of the view's state; so a call waits where another one would have to be tried again. A view allows one
// call for each of its shards: a further one of the same shard ends the one before. A newer view ends all calls of
// older ones. Thread-safe; never blocks. Must outlive the server. Lock order: this lock, then that of a stream.
class ReplayStreams {
 public:
  static constexpr size_t kMostEarly = 32;  // calls that wait for a view; one more ends the oldest

  struct Options {
    AttachedState* state = nullptr;  // whose log is read; outlives the streams
    Traffic sent;
    // A token has proven this peer; and a call of it ends with this error. Both must not call the streams.
    std::function<void(const std::string& peer)> on_genuine;
    std::function<void(const std::string& peer, const absl::Status& why)> on_refused;
  };
  explicit ReplayStreams(Options options) : options_(std::move(options)) {}

  // Returns gRPC's reactor of a call by `peer`, as gRPC names it.
  grpc::ServerWriteReactor<v1::ReplayPiece>* Start(const std::string& peer, const v1::ReplayRequest& request);

  // From now on this is the view; `own`: this shard's number in it.
  void Admit(const ViewAnnouncement& view, uint32_t own);

  // This shard holds the view's state, and its log leads to it. Ignored if it is not the view.
  void Joined(const View& view);

 private:
  friend class ReplayStream;
  using StreamPtr = std::shared_ptr<ReplayStream>;

  // Lets a call of the view proceed as far as it may, or refuses it. Returns the error.
  absl::Status Place(const StreamPtr& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void End(const StreamPtr& stream, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(const StreamPtr& stream);

  const Options options_;
  Mutex mutex_;
  View view_ ABSL_GUARDED_BY(mutex_);
  std::map<uint32_t, std::string> tokens_ ABSL_GUARDED_BY(mutex_);  // of the view's shards
  bool has_log_ ABSL_GUARDED_BY(mutex_) = false;                    // this shard has, says the view
  bool joined_ ABSL_GUARDED_BY(mutex_) = false;                     // this shard has joined the view
  std::list<StreamPtr> early_ ABSL_GUARDED_BY(mutex_);              // of newer views, the oldest first
  std::map<uint32_t, StreamPtr> placed_ ABSL_GUARDED_BY(mutex_);    // of the view, by the shard that asks
};

}  // namespace arcshard::shard
