#include "cli/display/progress_printer.h"

#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/display/progress_line.h"
#include "cli/display/terminal.h"

namespace arcshard::cli {
namespace {

constexpr absl::string_view kToLineStart = "\r";
constexpr absl::string_view kEraseToLineEnd = "\x1b[K";
constexpr absl::Duration kBetweenRedraws = absl::Milliseconds(100);  // of a terminal

}  // namespace

ProgressPrinter::ProgressPrinter(Options options, const Clock* clock) : options_(std::move(options)), clock_(clock) {}

void ProgressPrinter::Show(const v1::Progress& progress) {
  ShowVerification(progress);
  ShowVerificationFailure(progress);
  ShowCheckpointFailure(progress);
  ShowRecovery(progress);
  ShowRecoverable(progress);
  if (progress.phase() == v1::Progress::PHASE_FINISHED || progress.phase() == v1::Progress::PHASE_FAILED) {
    Clear();  // the launcher reports how the run has ended
    return;
  }
  const MonotonicTime now = clock_->Now();
  const bool news = phase_ != progress.phase();
  phase_ = progress.phase();
  if (!news && now < next_) return;
  if (options_.terminal_width != nullptr) {
    next_ = now + kBetweenRedraws;
    // The last column stays free: a full line would wrap on some terminals.
    const size_t width = options_.terminal_width();
    const std::string line = ProgressWithBar(progress, width > 1 ? width - 1 : 0, options_.colours);
    options_.write(absl::StrCat(kToLineStart, PrintablePaintedLine(options_.colours, line), kEraseToLineEnd));
    shown_ = true;
    return;
  }
  const std::string line = ProgressLine(progress, std::numeric_limits<size_t>::max());
  if (line == last_) return;
  last_ = line;
  next_ = now + options_.interval;
  Line(line);
}

void ProgressPrinter::ShowVerification(const v1::Progress& progress) {
  if (progress.verification().empty() || verification_step_ == progress.verification_step()) return;
  verification_step_ = progress.verification_step();
  for (const std::string& line : VerificationLines(progress)) {
    const bool best = absl::EndsWith(line, kBestSoFar);
    Line(best ? Paint(options_.colours, Ink::kGood, line) : line);
  }
}

// One line, however many verifications fail for the same reason.
void ProgressPrinter::ShowVerificationFailure(const v1::Progress& progress) {
  if (verification_failure_ == progress.verification_failure()) return;
  verification_failure_ = progress.verification_failure();
  if (verification_failure_.empty()) return;
  Line(Paint(options_.colours, Ink::kBad,
             absl::StrCat("warning: the verification is incomplete, training continues: ", verification_failure_)));
}

// Prints a line for the first of several failures in a row, and one when a checkpoint succeeds again.
void ProgressPrinter::ShowCheckpointFailure(const v1::Progress& progress) {
  const bool failed_before = !checkpoint_failure_.empty();
  checkpoint_failure_ = progress.checkpoint_failure();
  if (checkpoint_failure_.empty() == !failed_before) return;
  if (failed_before) {
    Line(absl::StrCat("checkpoints are complete again: step ", progress.checkpoint_step()));
    return;
  }
  Line(Paint(options_.colours, Ink::kBad,
             absl::StrCat("warning: the checkpoint failed, training continues: ", checkpoint_failure_)));
}

// A line for each recovery; it stands out if steps were lost. Another life of the coordinator does not know the last
// one.
void ProgressPrinter::ShowRecovery(const v1::Progress& progress) {
  const bool lost = progress.lost_steps() > lost_steps_;
  lost_steps_ = progress.lost_steps();
  const std::string recovery =
      progress.recoveries() == 0 ? "" : absl::StrCat(progress.recoveries(), " ", progress.last_recovery());
  if (recovery_ == recovery) return;
  recovery_ = recovery;
  if (progress.last_recovery().empty()) return;
  const std::string line = absl::StrCat("recovered: ", progress.last_recovery());
  Line(lost ? Paint(options_.colours, Ink::kBad, line) : line);
}

// A line when a lost shard would begin to cost steps, and one when that is over. A run that could never rebuild one,
// such as that of a single shard, has neither.
void ProgressPrinter::ShowRecoverable(const v1::Progress& progress) {
  if (progress.phase() != v1::Progress::PHASE_TRAINING) return;
  const bool changed = recoverable_.has_value() && *recoverable_ != progress.recoverable();
  recoverable_ = progress.recoverable();
  if (!changed) return;
  if (progress.recoverable()) {
    Line("the replay log is whole again: a lost shard costs no steps");
    return;
  }
  Line(Paint(options_.colours, Ink::kBad,
             "warning: the replay log is not whole: a shard that is lost now takes the run back to its last "
             "checkpoint; training continues"));
}

void ProgressPrinter::Line(absl::string_view text) {
  Clear();
  options_.write(absl::StrCat(PrintablePaintedLine(options_.colours, text), "\n"));
}

void ProgressPrinter::Headline(absl::string_view text) { Line(Paint(options_.colours, Ink::kStrong, text)); }

void ProgressPrinter::Clear() {
  if (shown_) options_.write(absl::StrCat(kToLineStart, kEraseToLineEnd));
  shown_ = false;
}

}  // namespace arcshard::cli
