#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/io/log.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/checkpoint_report.h"

// What shards and workers have in common when they write their part of a checkpoint.
namespace arcshard::client {

// Of the calling thread alone, which writes: where all cores are busy with training it takes a tenth of one, and what
// training leaves. Without the right to it the thread is only faster.
inline void LetTrainingGoFirst() { setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10); }

// A part was written, or could not be: one line in the log; what was written counts in the metrics.
inline void TellOfPart(const CheckpointReport& report, ProcessMetrics* metrics) {
  if (!report.status.ok()) {
    LogInfo(absl::StrCat("no part of the checkpoint of step ", report.step, ": ", report.status.message()));
    return;
  }
  uint64_t bytes = 0;
  for (const FileRecord& file : report.files) bytes += file.bytes;
  metrics->checkpoint_write.Observe(absl::ToDoubleSeconds(report.took));
  metrics->checkpoint_write_bytes.Increment(static_cast<double>(bytes));
  LogInfo(absl::StrCat("wrote its part of the checkpoint of step ", report.step, ": ", bytes, " bytes in ",
                       absl::FormatDuration(absl::Trunc(report.took, absl::Milliseconds(1)))));
}

}  // namespace arcshard::client
