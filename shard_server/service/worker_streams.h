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
#include "common/rpc/stream.h"

namespace arcshard::shard {

// The open streams: one for each worker whose token has proven it, and those that claim to be a worker's while the
// tokens are not yet known. Thread-safe; never blocks.
class WorkerStreams {
 public:
  using Sender = std::shared_ptr<StreamSender<v1::ShardMessage>>;

  // Who each stream is, once the tokens are known.
  using Tokens = std::map<uint32_t, std::string>;  // by worker

  // Makes `sender` the worker's stream and ends the one before, if any: the worker has abandoned it. Where the worker's
  // token is not yet known, Admit does so later. `on_genuine` is called once, when the token has proven the worker.
  // PermissionDenied: the token is not the worker's, or is none.
  absl::Status Put(uint32_t worker, absl::string_view token, const Sender& sender, std::function<void()> on_genuine);
  // From now on these are the workers. Decides about the streams that have claimed to be theirs, and returns the errors
  // with which it has ended those that are not.
  std::vector<absl::Status> Admit(Tokens tokens);
  // Whether `sender` is the worker's stream.
  bool Has(uint32_t worker, const Sender& sender);
  // Removes the stream, whatever it was.
  void Remove(uint32_t worker, const Sender& sender);

  // Drops the message if the worker has no stream: the worker repeats its request when it reconnects.
  void Send(uint32_t worker, v1::ShardMessage message);
  // Ends the worker's stream with `why`.
  void Close(uint32_t worker, const absl::Status& why);

 private:
  struct Claim {
    uint32_t worker;
    std::string token;
    std::function<void()> on_genuine;
  };

  // Requires: the worker's token is known. Returns the stream that `sender` replaces, for the caller to end; null:
  // none.
  absl::StatusOr<Sender> Install(const Claim& claim, const Sender& sender) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Sender Find(uint32_t worker);

  Mutex mutex_;
  Tokens tokens_ ABSL_GUARDED_BY(mutex_);
  std::map<uint32_t, Sender> senders_ ABSL_GUARDED_BY(mutex_);
  std::map<Sender, Claim> claims_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
