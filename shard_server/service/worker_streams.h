#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "arcshard/v1/shard.pb.h"
#include "common/base/mutex.h"
#include "common/rpc/stream.h"

namespace arcshard::shard {

// The open streams, one for each worker. Thread-safe; never blocks.
class WorkerStreams {
 public:
  using Sender = std::shared_ptr<StreamSender<v1::ShardMessage>>;

  // Makes `sender` the worker's stream, and ends the one before, if any: the worker has abandoned it.
  void Put(uint32_t worker, Sender sender);
  // Removes the worker's stream if it is still `sender`.
  void Remove(uint32_t worker, const Sender& sender);

  // Drops the message if the worker has no stream: the worker repeats its request when it reconnects.
  void Send(uint32_t worker, v1::ShardMessage message);
  // Ends the worker's stream with `why`.
  void Close(uint32_t worker, const absl::Status& why);

 private:
  Sender Find(uint32_t worker);

  Mutex mutex_;
  std::map<uint32_t, Sender> senders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
