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

// Shows progress: on a terminal as one line that is written over, elsewhere as lines, a few in a minute. Results of
// verifications and what Line is given are lines of their own everywhere. Not thread-safe.
class ProgressPrinter {
 public:
  struct Options {
    std::function<void(absl::string_view)> write;      // to where people look
    std::function<size_t()> terminal_width = nullptr;  // columns now; null: it is no terminal
    absl::Duration interval = absl::Seconds(5);        // between two lines that are not news, where it is no terminal
    bool colours = false;                              // of a terminal
  };

  // `clock` must outlive this.
  ProgressPrinter(Options options, const Clock* clock);

  void Show(const v1::Progress& progress);
  void Line(absl::string_view text);
  // What a run ends with: a line that stands out.
  void Headline(absl::string_view text);
  // Takes the overwritten line away, for what others write to the terminal.
  void Clear();

 private:
  void ShowVerification(const v1::Progress& progress);
  void ShowCheckpointFailure(const v1::Progress& progress);

  const Options options_;
  const Clock* const clock_;
  bool shown_ = false;  // terminal: a line stands that will be written over
  std::optional<v1::Progress::Phase> phase_;
  std::optional<uint64_t> verification_step_;
  std::string checkpoint_failure_;
  absl::Time next_ = absl::InfinitePast();  // for lines that are not news
  std::string last_;                        // elsewhere: the line written last
};

}  // namespace arcshard::cli
