#include "cli/data/task_progress.h"

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/display/terminal.h"
#include "common/base/clock.h"

namespace arcshard::cli {
namespace {

constexpr absl::string_view kToLineStart = "\r", kEraseToLineEnd = "\x1b[K";

}  // namespace

TaskProgress::Options TaskProgress::OfThisProcess() {
  Options options;
  options.write = [](absl::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  options.elapsed = [] { return SystemClock().Now() - MonotonicTime(); };
  options.terminal = ObeysEscapes(STDERR_FILENO);
  if (options.terminal) options.interval = absl::Milliseconds(300);
  return options;
}

TaskProgress::TaskProgress(Options options)
    : options_(std::move(options)), begin_(options_.elapsed()), next_(begin_ + options_.interval) {}

void TaskProgress::Show(absl::string_view verb, int64_t done, int64_t all) {
  const absl::Duration now = options_.elapsed();
  if (verb != verb_) {
    verb_ = std::string(verb);
    begin_ = now;
  }
  if (now < next_ || done <= 0 || all <= 0) return;
  next_ = now + options_.interval;
  const absl::Duration left = (now - begin_) / static_cast<double>(done) * static_cast<double>(all - done);
  const std::string text = absl::StrCat(verb, " ", done, " of ", all, ", ", 100 * done / all, " %, ",
                                        absl::FormatDuration(absl::Ceil(left, absl::Seconds(1))), " left");
  options_.write(options_.terminal ? absl::StrCat(kToLineStart, text, kEraseToLineEnd) : absl::StrCat(text, "\n"));
  shown_ = options_.terminal;
}

void TaskProgress::Clear() {
  if (shown_) options_.write(absl::StrCat(kToLineStart, kEraseToLineEnd));
  shown_ = false;
}

}  // namespace arcshard::cli
