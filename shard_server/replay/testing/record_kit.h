#pragma once

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "common/protocol/lineage.h"
#include "common/protocol/types.h"
#include "shard_server/replay/record_encoder.h"
#include "shard_server/state/log/replay_record.h"

// For tests of replays: records of any shape, and what is in them.
namespace arcshard::shard {

inline constexpr View kRecordView{2, 5};
inline constexpr int64_t kRecordClasses = 100;  // N

struct RecordShape {
  std::vector<uint32_t> sizes = {3, 2, 4};  // of the micro-batches
  int64_t dim = 5;
  Outcome outcome = Outcome::kCommit;
  bool has_nan = true;
};

// The record of the step after `before`. Its values differ from those of other steps.
inline std::shared_ptr<const ReplayRecord> MakeRecord(const StatePoint& before, const RecordShape& shape = {}) {
  auto record = std::make_shared<ReplayRecord>();
  const uint64_t step = before.step + 1;
  record->Reset(kRecordView, {step, 0, 9 * before.step, shape.sizes});
  std::vector<uint32_t> all;
  for (uint32_t m = 0; m < shape.sizes.size(); ++m) {
    MicroBatchRecord& inputs = record->micro_batches[m];
    inputs.worker = 7 * m;
    record->workers.push_back(inputs.worker);
    for (uint32_t i = 0; i < shape.sizes[m]; ++i) {
      inputs.labels.push_back(static_cast<int64_t>(i + 11 * m + step) % kRecordClasses);
      inputs.r.push_back(1e-27f * static_cast<float>(i + 1));  // z is huge (DESIGN §1), and weights stay finite
      inputs.t.push_back(i == 0 ? -0.0f : -static_cast<float>(m + 1));
      for (int64_t d = 0; d < shape.dim; ++d) {
        inputs.embedding.push_back(static_cast<float>(step) + static_cast<float>(i * shape.dim + d) / 8);
      }
    }
    all.push_back(m);
  }
  if (shape.has_nan) record->micro_batches[0].embedding[0] = std::numeric_limits<float>::quiet_NaN();
  // The last micro-batch was computed alone and first.
  record->groups = {{all.back()}};
  all.pop_back();
  if (!all.empty()) record->groups.push_back(all);
  record->outcome = shape.outcome;
  record->lr = 0.1 * static_cast<double>(step);
  record->after = {
      step, ExtendLineage(before.lineage,
                          {.view = kRecordView, .step = step, .outcome = shape.outcome, .lr = record->lr, .next = {}})};
  return record;
}

// The messages of a record.
inline std::vector<v1::ReplayPiece> MessagesOf(const std::shared_ptr<const ReplayRecord>& record) {
  std::vector<v1::ReplayPiece> messages;
  RecordEncoder encoder(record);
  v1::ReplayPiece message;
  while (encoder.Next(&message)) messages.push_back(message);
  return messages;
}

template <typename T>
bool SameBits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

// Whether both say the same, bit by bit.
inline bool SameRecord(const ReplayRecord& a, const ReplayRecord& b) {
  if (a.view != b.view || !(a.plan == b.plan) || a.workers != b.workers || a.groups != b.groups ||
      a.outcome != b.outcome || a.lr != b.lr || !(a.after == b.after)) {
    return false;
  }
  for (size_t m = 0; m < a.plan.micro_batch_sizes.size(); ++m) {
    const MicroBatchRecord& one = a.micro_batches[m];
    const MicroBatchRecord& other = b.micro_batches[m];
    if (one.worker != other.worker || !SameBits(one.labels, other.labels) || !SameBits(one.r, other.r) ||
        !SameBits(one.t, other.t) || !SameBits(one.embedding, other.embedding)) {
      return false;
    }
  }
  return true;
}

}  // namespace arcshard::shard
