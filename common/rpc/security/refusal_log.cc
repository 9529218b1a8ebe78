#include "common/rpc/security/refusal_log.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/io/log.h"

namespace arcshard {

std::optional<std::string> RefusalLog::Line(absl::string_view refusal, MonotonicTime now) {
  MutexLock lock(&mutex_);
  if (now >= period_ends_) {
    period_ends_ = now + kPeriod;
    lines_ = 0;
  }
  if (lines_ >= kMostLines) {
    ++left_out_;
    return std::nullopt;
  }
  ++lines_;
  const uint64_t left_out = std::exchange(left_out_, 0);
  if (left_out == 0) return std::string(refusal);
  return absl::StrCat(refusal, " (", left_out, " refusals before this one were not logged)");
}

void LogRefusal(absl::string_view peer, absl::string_view why) {
  static RefusalLog* const refusals = new RefusalLog;
  const std::optional<std::string> line =
      refusals->Line(absl::StrCat("refused ", peer, ": ", why), SystemClock().Now());
  if (line.has_value()) LogInfo(*line);
}

}  // namespace arcshard
