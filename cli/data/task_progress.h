#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace arcshard::cli {

// Shows how far a long command is: "packed 12000 of 85742 images, 14 %, 2m10s left". On a terminal it is one line that
// is overwritten; elsewhere a line now and then. What takes no time shows nothing. Not thread-safe.
class TaskProgress {
 public:
  struct Options {
    std::function<void(absl::string_view)> write;  // to the output
    std::function<absl::Duration()> elapsed;       // since any moment; never goes back
    bool terminal = false;                         // whether a line can be overwritten
    absl::Duration interval = absl::Seconds(10);   // between two lines, and before the first one
  };
  // Writes to the standard error output.
  static Options OfThisProcess();

  explicit TaskProgress(Options options);
  ~TaskProgress() { Clear(); }
  TaskProgress(const TaskProgress&) = delete;
  TaskProgress& operator=(const TaskProgress&) = delete;

  // Call it as often as you like. `verb`: what happened to the items ("checked"); another one begins another task.
  void Show(absl::string_view verb, int64_t done, int64_t all);
  // Erases the line, before others write to the terminal.
  void Clear();

 private:
  const Options options_;
  std::string verb_;
  absl::Duration begin_, next_;
  bool shown_ = false;
};

}  // namespace arcshard::cli
