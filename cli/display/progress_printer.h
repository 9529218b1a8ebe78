#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/base/clock.h"

namespace arcshard::cli {

// Prints progress: on a terminal as one line that is overwritten, elsewhere as a few lines per minute. Results of
// verifications, recoveries and the text given to Line are always lines of their own. Not thread-safe.
class ProgressPrinter {
 public:
  struct Options {
    std::function<void(absl::string_view)> write;      // to the output
    std::function<size_t()> terminal_width = nullptr;  // current columns; null: the output is not a terminal
    absl::Duration interval = absl::Seconds(5);        // between two lines without news, if it is not a terminal
    bool colours = false;                              // the output is a terminal that shows colours
  };

  // `clock` must outlive this.
  ProgressPrinter(Options options, const Clock* clock);

  void Show(const v1::Progress& progress);
  void Line(absl::string_view text);
  // A line that stands out, for the end of a run.
  void Headline(absl::string_view text);
  // Erases the progress line, before others write to the terminal.
  void Clear();

 private:
  void ShowVerification(const v1::Progress& progress);
  void ShowVerificationFailure(const v1::Progress& progress);
  void ShowCheckpointFailure(const v1::Progress& progress);
  void ShowRecovery(const v1::Progress& progress);
  void ShowRecoverable(const v1::Progress& progress);

  const Options options_;
  const Clock* const clock_;
  bool shown_ = false;  // terminal: a progress line is shown, which is to be overwritten
  std::optional<v1::Progress::Phase> phase_;
  std::optional<uint64_t> verification_step_;
  std::string verification_failure_;
  std::string checkpoint_failure_;
  std::string recovery_;                                // the last one, as shown
  uint64_t lost_steps_ = 0;                             // before it
  std::optional<bool> recoverable_;                     // while training; no value: it has not trained yet
  MonotonicTime next_ = MonotonicTime::InfinitePast();  // earliest time of the next line without news
  std::string last_;                                    // the last line, if the output is not a terminal
};

}  // namespace arcshard::cli
