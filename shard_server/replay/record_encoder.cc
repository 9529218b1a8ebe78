#include "shard_server/replay/record_encoder.h"

#include <cassert>
#include <utility>
#include <vector>

#include "common/rpc/convert/convert.h"
#include "common/rpc/tensor_codec.h"

namespace arcshard::shard {
namespace {

template <typename T>
int64_t BytesOf(const std::vector<T>& values) {
  return static_cast<int64_t>(values.size() * sizeof(T));
}

template <typename T>
void EncodeValues(const std::vector<T>& values, int64_t piece, v1::Tensor* out) {
  EncodePiece<T>({static_cast<int64_t>(values.size())}, values, piece, out);
}

void EncodeHeader(const ReplayRecord& record, v1::RecordHeader* header) {
  *header->mutable_view() = ToProto(record.view);
  *header->mutable_plan() = ToProto(record.plan);
  header->set_outcome(*record.outcome == Outcome::kCommit ? v1::Decision::OUTCOME_COMMIT : v1::Decision::OUTCOME_SKIP);
  header->set_lr(record.lr);
  header->set_lineage(record.after.lineage);
  header->mutable_workers()->Add(record.workers.begin(), record.workers.end());
  for (const std::vector<uint32_t>& group : record.groups) {
    header->add_groups()->mutable_micro_batches()->Add(group.begin(), group.end());
  }
}

// Encodes piece number `piece` of the inputs; returns how many there are. It is one with all three tensors, unless they
// are so large that each of their pieces needs a message.
int64_t EncodeInputs(const MicroBatchRecord& inputs, int64_t piece, v1::RecordInputs* message) {
  message->set_worker(inputs.worker);
  if (BytesOf(inputs.labels) + BytesOf(inputs.r) + BytesOf(inputs.t) <= kMaxPieceBytes) {
    EncodeValues(inputs.labels, 0, message->mutable_labels());
    EncodeValues(inputs.r, 0, message->mutable_r());
    EncodeValues(inputs.t, 0, message->mutable_t());
    return 1;
  }
  const int64_t of_labels = NumPieces(BytesOf(inputs.labels));
  const int64_t of_r = NumPieces(BytesOf(inputs.r));
  if (piece < of_labels) {
    EncodeValues(inputs.labels, piece, message->mutable_labels());
  } else if (piece < of_labels + of_r) {
    EncodeValues(inputs.r, piece - of_labels, message->mutable_r());
  } else {
    EncodeValues(inputs.t, piece - of_labels - of_r, message->mutable_t());
  }
  return of_labels + of_r + NumPieces(BytesOf(inputs.t));
}

int64_t EncodeEmbedding(const MicroBatchRecord& inputs, int64_t piece, v1::Tensor* tensor) {
  const int64_t samples = static_cast<int64_t>(inputs.labels.size());
  const int64_t dim = samples == 0 ? 0 : static_cast<int64_t>(inputs.embedding.size()) / samples;
  EncodePiece<float>({samples, dim}, inputs.embedding, piece, tensor);
  return NumPieces(BytesOf(inputs.embedding));
}

}  // namespace

RecordEncoder::RecordEncoder(std::shared_ptr<const ReplayRecord> record) : record_(std::move(record)) {
  assert(record_->outcome.has_value());
}

bool RecordEncoder::Next(v1::ReplayPiece* message) {
  message->Clear();
  if (part_ == Part::kHeader) {
    EncodeHeader(*record_, message->mutable_header());
    part_ = Part::kInputs;
    return true;
  }
  if (micro_batch_ == record_->plan.micro_batch_sizes.size()) return false;
  const MicroBatchRecord& inputs = record_->micro_batches[micro_batch_];
  const int64_t pieces = part_ == Part::kInputs ? EncodeInputs(inputs, piece_, message->mutable_inputs())
                                                : EncodeEmbedding(inputs, piece_, message->mutable_embedding());
  if (++piece_ < pieces) return true;
  piece_ = 0;
  if (part_ == Part::kInputs) {
    part_ = Part::kEmbedding;
  } else {
    part_ = Part::kInputs;
    ++micro_batch_;
  }
  return true;
}

}  // namespace arcshard::shard
