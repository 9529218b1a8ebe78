#pragma once

#include <cstdint>
#include <memory>

#include "arcshard/v1/shard.pb.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::shard {

// Makes the messages of a record for Shard.Replay, one after another: its header, then for each micro-batch of its plan
// the inputs and the embedding. None is larger than gRPC takes. Thread-compatible.
class RecordEncoder {
 public:
  // Requires: the record is decided and complete.
  explicit RecordEncoder(std::shared_ptr<const ReplayRecord> record);

  // Makes the next message. False: there is none.
  bool Next(v1::ReplayPiece* message);

  const ReplayRecord& record() const { return *record_; }

 private:
  enum class Part { kHeader, kInputs, kEmbedding };

  const std::shared_ptr<const ReplayRecord> record_;
  Part part_ = Part::kHeader;  // of the next message
  size_t micro_batch_ = 0;
  int64_t piece_ = 0;  // of that part
};

}  // namespace arcshard::shard
