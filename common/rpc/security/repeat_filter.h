#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/base/mutex.h"

namespace arcshard {

// Decides whether a line is worth logging: not if the same line was allowed less than kRepeat ago. Thread-safe.
class RepeatFilter {
 public:
  static constexpr absl::Duration kRepeat = absl::Seconds(10);
  static constexpr size_t kMostLines = 64;  // that are remembered; one more, and all are forgotten

  bool Allow(const std::string& line, MonotonicTime now) {
    MutexLock lock(&mutex_);
    const auto found = last_.find(line);
    if (found != last_.end() && now - found->second < kRepeat) return false;
    if (found == last_.end() && last_.size() >= kMostLines) last_.clear();
    last_[line] = now;
    return true;
  }

 private:
  Mutex mutex_;
  std::map<std::string, MonotonicTime> last_ ABSL_GUARDED_BY(mutex_);  // when a line was last allowed
};

}  // namespace arcshard
