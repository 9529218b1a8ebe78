#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard_server/head/head.h"

namespace arcshard::bench {

// A head, and whole steps of it: one micro-batch of normal embeddings with random labels, and gradients of the size
// that a loss gives. Single-threaded but for the head's own threads.
class HeadStep {
 public:
  // Errors as of Head::Create.
  static absl::StatusOr<std::unique_ptr<HeadStep>> Create(const head::HeadOptions& options, int64_t batch);

  // Begin, Forward and Update of the next step, on the same inputs each time.
  absl::Status Run();

  head::Head* head() const { return head_.get(); }

  // The rows that the last step updated.
  std::vector<int64_t> ActiveRows() const;

 private:
  HeadStep(const head::HeadOptions& options, int64_t batch);

  const int64_t batch_, dim_;
  std::vector<float> embedding_;  // B×D
  std::vector<int64_t> labels_;   // B
  std::vector<float> z_, r_, t_;  // B
  std::vector<float> u_, own_;    // B×D
  std::unique_ptr<head::Head> head_;
  uint64_t step_ = 0;
};

}  // namespace arcshard::bench
