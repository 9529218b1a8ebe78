#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/io/log.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/checkpoint_report.h"
#include "common/trace/trace_row.h"

// Shared by shards and workers for writing their part of a checkpoint.
namespace arcshard::client {

// Lowers the priority of the calling thread, which writes a checkpoint: while training uses all cores, it gets about a
// tenth of one. Where lowering it is not permitted, the thread keeps its priority.
inline void LetTrainingGoFirst() { setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10); }

// Logs one line about a part that was written or could not be, and counts what was written in the metrics and
// shows it in the trace.
inline void TellOfPart(const CheckpointReport& report, ProcessMetrics* metrics) {
  if (!report.status.ok()) {
    LogInfo(absl::StrCat("no part of the checkpoint of step ", report.step, ": ", report.status.message()));
    return;
  }
  uint64_t bytes = 0;
  for (const FileRecord& file : report.files) bytes += file.bytes;
  metrics->checkpoint_write.Observe(absl::ToDoubleSeconds(report.took));
  const TraceRow row(metrics->tracer, "checkpoint");
  row.Add("checkpoint", row.Now() - report.took, row.Now(), {.step = report.step, .bytes = bytes});
  metrics->checkpoint_write_bytes.Increment(static_cast<double>(bytes));
  LogInfo(absl::StrCat("wrote its part of the checkpoint of step ", report.step, ": ", bytes, " bytes in ",
                       absl::FormatDuration(absl::Trunc(report.took, absl::Milliseconds(1)))));
}

}  // namespace arcshard::client
