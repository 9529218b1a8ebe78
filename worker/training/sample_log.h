#pragma once

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "common/io/line_log.h"
#include "common/protocol/types.h"

namespace arcshard::worker {

// Writes RUN/logs/samples-worker-<id>.jsonl (data.log_samples): a line for each micro-batch that this worker computes,
// in order, with the numbers of its samples in the data set:
//
//   {"incarnation":2,"view":1,"step":18,"micro_batch":0,"samples":[17,4,1203]}
//
// A run that resumes from a checkpoint appends. A step that is computed again, then or in a later view, appears again;
// the lines of its highest incarnation and view count. Lines that cannot be written are lost, with one warning. Not
// thread-safe.
class SampleLog {
 public:
  explicit SampleLog(const std::string& path);

  void Add(const Key& key, absl::Span<const int64_t> samples);
  // Hands the added lines to the operating system. Called once a step.
  void Flush();

 private:
  LineLog file_;
  std::string lines_;
};

}  // namespace arcshard::worker
