#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "arcshard/v1/shard.pb.h"
#include "common/base/mutex.h"
#include "common/protocol/types.h"
#include "common/rpc/stream.h"

namespace arcshard::shard {

// The open streams: one for each worker whose token has proven it, and those that claim to be a worker's while the
// tokens are not yet known. Thread-safe; never blocks.
class WorkerStreams {
 public:
  using Sender = std::shared_ptr<StreamSender<v1::ShardMessage>>;

  using Tokens = std::map<uint32_t, std::string>;  // by worker

  // Who a stream says it is.
  struct Claim {
    View view;  // of its hello
    uint32_t worker = 0;
    std::string token;
    std::function<void()> on_genuine;  // called once, when the token has proven the worker
  };

  // Makes `sender` the worker's stream and ends the one before, if any: the worker has abandoned it. Where the claim is
  // of a newer view than the last one of Admit, whose tokens are not known yet, Admit does so later. PermissionDenied:
  // the token is not the worker's, or is none.
  absl::Status Put(Claim claim, const Sender& sender);
  // From now on these are the workers, those of `view`. Decides about the streams that have claimed to be theirs, and
  // ends those of workers that are no longer there or have been given another token since. Returns the errors with
  // which it has ended streams.
  std::vector<absl::Status> Admit(const View& view, Tokens tokens);
  // Whether `sender` is the worker's stream.
  bool Has(uint32_t worker, const Sender& sender);
  // Removes the stream, whatever it was.
  void Remove(uint32_t worker, const Sender& sender);

  // Drops the message if the worker has no stream: the worker repeats its request when it reconnects.
  void Send(uint32_t worker, v1::ShardMessage message);
  // Ends the worker's stream with `why`.
  void Close(uint32_t worker, const absl::Status& why);

 private:
  struct Proven {
    Sender sender;
    std::string token;
  };

  // Requires: the tokens of the claim's view are known, or those of a newer one. Returns the stream that `sender`
  // replaces, for the caller to end; null: none.
  absl::StatusOr<Sender> Install(const Claim& claim, const Sender& sender) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Sender Find(uint32_t worker);

  Mutex mutex_;
  View view_ ABSL_GUARDED_BY(mutex_);
  Tokens tokens_ ABSL_GUARDED_BY(mutex_);                      // of view_
  std::map<uint32_t, Proven> proven_ ABSL_GUARDED_BY(mutex_);  // by worker
  std::map<Sender, Claim> claims_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
