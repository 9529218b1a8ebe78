#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/base/mutex.h"

namespace arcshard {

// Which refusals of peers are logged. A peer may be refused as often as it likes, under as many names as it likes, and
// must not fill the log: kMostLines lines in kPeriod, and then how many there were besides. Thread-safe.
class RefusalLog {
 public:
  static constexpr int kMostLines = 10;
  static constexpr absl::Duration kPeriod = absl::Minutes(1);

  // The line to log about this refusal; nullopt: none.
  std::optional<std::string> Line(absl::string_view refusal, MonotonicTime now);

 private:
  Mutex mutex_;
  MonotonicTime period_ends_ ABSL_GUARDED_BY(mutex_) = MonotonicTime::InfinitePast();
  int lines_ ABSL_GUARDED_BY(mutex_) = 0;          // in this period
  uint64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;  // since the last line
};

// Logs "refused <peer>: <why>" as RefusalLog allows, for all of this process.
void LogRefusal(absl::string_view peer, absl::string_view why);

}  // namespace arcshard
