#include "worker/training/sample_log.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace arcshard::worker {

SampleLog::SampleLog(const std::string& path) : file_(path, "the run continues, but this file will have gaps") {}

void SampleLog::Add(const Key& key, absl::Span<const int64_t> samples) {
  absl::StrAppend(&lines_, "{\"incarnation\":", key.view.incarnation, ",\"view\":", key.view.counter,
                  ",\"step\":", key.step, ",\"micro_batch\":", key.micro_batch, ",\"samples\":[",
                  absl::StrJoin(samples, ","), "]}\n");
}

void SampleLog::Flush() {
  file_.Append(lines_);
  lines_.clear();
}

}  // namespace arcshard::worker
