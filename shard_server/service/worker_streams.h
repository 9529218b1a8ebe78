#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "absl/status/status.h"
#include "arcshard/v1/shard.pb.h"
#include "common/base/mutex.h"
#include "common/rpc/stream.h"

namespace arcshard::shard {

// The stream of each worker that has one. Thread-safe; never blocks.
class WorkerStreams {
 public:
  using Sender = std::shared_ptr<StreamSender<v1::ShardMessage>>;

  // From now on `sender` is the worker's stream. The one before, if any, is ended: its worker has left it.
  void Put(uint32_t worker, Sender sender);
  // Forgets the worker's stream, if it is still this one.
  void Remove(uint32_t worker, const Sender& sender);

  // Dropped where the worker has no stream: it asks again when it is back.
  void Send(uint32_t worker, v1::ShardMessage message);
  // Ends the worker's stream with `why`.
  void Close(uint32_t worker, const absl::Status& why);

 private:
  Sender Find(uint32_t worker);

  Mutex mutex_;
  std::map<uint32_t, Sender> senders_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
