#include "shard_server/service/worker_streams.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard::shard {

// Senders are called without the lock: they have locks of their own.

void WorkerStreams::Put(uint32_t worker, Sender sender) {
  Sender before;
  {
    MutexLock lock(&mutex_);
    before = std::exchange(senders_[worker], std::move(sender));
  }
  if (before != nullptr)
    before->Close(absl::AbortedError(absl::StrCat("worker ", worker, " has opened another stream")));
}

void WorkerStreams::Remove(uint32_t worker, const Sender& sender) {
  MutexLock lock(&mutex_);
  const auto found = senders_.find(worker);
  if (found != senders_.end() && found->second == sender) senders_.erase(found);
}

void WorkerStreams::Send(uint32_t worker, v1::ShardMessage message) {
  if (const Sender sender = Find(worker)) sender->Send(std::move(message));
}

void WorkerStreams::Close(uint32_t worker, const absl::Status& why) {
  if (const Sender sender = Find(worker)) sender->Close(why);
}

WorkerStreams::Sender WorkerStreams::Find(uint32_t worker) {
  MutexLock lock(&mutex_);
  const auto found = senders_.find(worker);
  return found == senders_.end() ? nullptr : found->second;
}

}  // namespace arcshard::shard
