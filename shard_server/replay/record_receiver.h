#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "arcshard/v1/shard.pb.h"
#include "common/protocol/types.h"
#include "common/rpc/tensor_codec.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::shard {

// What a shard's options and its view say about every record.
struct RecordLimits {
  int64_t dim = 0;          // D
  uint32_t batch_size = 0;  // most samples of a step
  int64_t num_classes = 0;  // N
};

// Assembles records from the messages of Shard.Replay, which come from a peer: memory is taken only for what a plan
// within the limits needs, and no record is passed on that a head could not take. Thread-compatible.
class RecordReceiver {
 public:
  // The first record has to follow `after`, and each one the record before it.
  RecordReceiver(const RecordLimits& limits, const StatePoint& after) : limits_(limits), after_(after) {}

  // Takes the next message. Returns the record that it completes; null: more is to come. InvalidArgument: the message
  // is not the next one, or has an impossible value; the message names the step and the field. DataLoss: the decision
  // in the record does not lead to the lineage in it. After an error the receiver is of no use.
  absl::StatusOr<std::shared_ptr<const ReplayRecord>> Add(const v1::ReplayPiece& message);

  const StatePoint& after() const { return after_; }  // that of the last whole record
  bool between_records() const { return record_ == nullptr; }

 private:
  absl::Status TakeHeader(const v1::RecordHeader& header);
  absl::Status TakeInputs(const v1::RecordInputs& inputs);
  absl::Status TakeEmbedding(const v1::Tensor& piece);
  // Takes memory for the next micro-batch of the plan.
  void BeginMicroBatch(uint32_t worker);
  bool has_inputs() const { return begun_ && labels_->complete() && r_->complete() && t_->complete(); }
  MicroBatchRecord& current() const { return record_->micro_batches[micro_batch_]; }

  const RecordLimits limits_;
  StatePoint after_;
  std::shared_ptr<ReplayRecord> record_;  // null between two records
  size_t micro_batch_ = 0;                // that is received next, or at the moment
  bool begun_ = false;                    // of that micro-batch
  std::optional<TensorReceiver> labels_, r_, t_, embedding_;
};

}  // namespace arcshard::shard
