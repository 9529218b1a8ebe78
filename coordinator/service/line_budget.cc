#include "coordinator/service/line_budget.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard::coordinator {

std::optional<std::string> LineBudget::Line(absl::string_view sentence, MonotonicTime now) {
  left_ = std::min(most_, left_ + absl::FDivDuration(now - counted_, absl::Minutes(1)) * kLinesAMinute);
  counted_ = now;
  if (left_ < 1) {
    ++left_out_;
    return std::nullopt;
  }
  left_ -= 1;
  const uint64_t left_out = std::exchange(left_out_, 0);
  if (left_out == 0) return std::string(sentence);
  return absl::StrCat(sentence, " (", left_out, " such lines before this one were not logged)");
}

}  // namespace arcshard::coordinator
