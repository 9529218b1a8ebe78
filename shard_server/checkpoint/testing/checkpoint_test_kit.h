#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/testing/sharded_head.h"

// For tests of checkpoints: heads that train, and their exact contents.
namespace arcshard::shard {

using HeldRows = std::map<head::RowPart, std::vector<std::byte>>;

inline HeldRows RowsHeldBy(const head::Head& head) {
  HeldRows held;
  for (const head::RowPart part :
       {head::RowPart::kWeights, head::RowPart::kMoment0, head::RowPart::kMoment1, head::RowPart::kCounts}) {
    const int64_t bytes = head::HeldBytes(head.options(), part);
    if (bytes == 0) continue;
    std::vector<std::byte>& rows = held[part];
    rows.resize(static_cast<size_t>(bytes * head.options().range.size()));
    const absl::Status status = head.ReadHeld(part, head.options().range, absl::MakeSpan(rows));
    EXPECT_TRUE(status.ok()) << status;
  }
  return held;
}

// Heads that together hold all classes and train whole steps.
class TrainedHeads {
 public:
  TrainedHeads(const head::HeadOptions& options, const std::vector<ClassRange>& ranges)
      : options_(options), heads_(options, ranges) {}

  void Step() {
    const std::vector<head::LabelledGroup> groups = {
        {head::RandomBatch(++step_, kSamples, options_.dim, options_.num_classes)}};
    heads_.Forward(groups);
    const std::vector<float> r(kSamples, 1e-25f), t(kSamples, -0.5f);
    heads_.Update(groups, r, t, 0.1f);
  }
  head::Head* head(size_t shard = 0) const { return heads_.head(shard); }
  head::HeadState State() const { return heads_.State(); }

 private:
  static constexpr int64_t kSamples = 16;

  const head::HeadOptions options_;
  head::ShardedHead heads_;
  uint64_t step_ = 0;
};

}  // namespace arcshard::shard
