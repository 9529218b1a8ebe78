#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard_server/head/head.h"

namespace arcshard::bench {

// Whole steps of a head: one micro-batch of normally distributed embeddings with random labels, and gradients as large
// as those of a loss. Thread-compatible.
class HeadStep {
 public:
  // Errors as for Head::Create.
  static absl::StatusOr<std::unique_ptr<HeadStep>> Create(const head::HeadOptions& options, int64_t batch);

  // Calls Begin, Forward and Update for the next step, always with the same inputs.
  absl::Status Run();

  // Replays a step: calls Begin and Update for the next step, with the gradients of the last Run, of which there must
  // have been one.
  absl::Status Replay();

  head::Head* head() const { return head_.get(); }

  // The rows that the last step updated.
  std::vector<int64_t> ActiveRows() const;

 private:
  HeadStep(const head::HeadOptions& options, int64_t batch);

  head::ForwardInput Input() const { return {{embedding_.data(), batch_, dim_}, labels_}; }
  absl::Status Update();

  const int64_t batch_, dim_;
  std::vector<float> embedding_;  // B×D
  std::vector<int64_t> labels_;   // B
  std::vector<float> z_, r_, t_;  // B
  std::vector<float> u_, own_;    // B×D
  std::unique_ptr<head::Head> head_;
  uint64_t step_ = 0;
};

}  // namespace arcshard::bench
