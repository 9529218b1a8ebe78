#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"

namespace arcshard::coordinator {

// Which lines are logged of a kind that strangers can cause as often as they like: `at_once` of them, and kLinesAMinute
// more as time goes by; the others are counted. Not thread-safe.
class LineBudget {
 public:
  static constexpr int kLinesAMinute = 10;

  LineBudget(int at_once, MonotonicTime now) : most_(at_once), left_(at_once), counted_(now) {}

  // The line to log for `sentence`; nullopt: none.
  std::optional<std::string> Line(absl::string_view sentence, MonotonicTime now);

 private:
  const double most_;
  double left_;  // lines that may be logged, as of counted_
  MonotonicTime counted_;
  uint64_t left_out_ = 0;  // since the last line
};

}  // namespace arcshard::coordinator
