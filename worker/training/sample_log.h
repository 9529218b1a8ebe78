#pragma once

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "common/io/line_log.h"
#include "common/protocol/types.h"

namespace arcshard::worker {

// RUN/logs/samples-worker-<id>.jsonl (data.log_samples): a line for each micro-batch that this worker computes, in
// order, with the numbers of its samples in the data set:
//
//   {"incarnation":2,"step":18,"micro_batch":0,"samples":[17,4,1203]}
//
// A run that goes on from a checkpoint appends. Steps that it takes again are there twice then; those of the highest
// incarnation count. What cannot be written is lost, with one warning. Not thread-safe.
class SampleLog {
 public:
  explicit SampleLog(const std::string& path);

  void Add(const Key& key, absl::Span<const int64_t> samples);
  // What was added is with the system afterwards. Once a step.
  void Flush();

 private:
  LineLog file_;
  std::string lines_;
};

}  // namespace arcshard::worker
