#include "cli/display/progress_line.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/display/terminal.h"
#include "common/rpc/convert/convert_reports.h"
#include "common/text/printable_text.h"
#include "common/text/readable_number.h"

namespace arcshard::cli {
namespace {

constexpr size_t kShortestBar = 8, kLongestBar = 24;  // columns

// A piece of the line. If the pieces do not fit, those with the highest rank are left out.
struct Piece {
  std::string text;
  int rank;
};

std::string Join(const std::vector<Piece>& pieces) {
  std::string line;
  for (const Piece& piece : pieces) absl::StrAppend(&line, line.empty() ? "" : "  ", piece.text);
  return line;
}

std::string Fit(std::vector<Piece> pieces, size_t width) {
  std::string line = Join(pieces);
  while (Columns(line) > width && pieces.size() > 1) {
    pieces.erase(
        std::max_element(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.rank < b.rank; }));
    line = Join(pieces);
  }
  return CutTo(line, width);
}

// "once", "3 times"
std::string Times(uint64_t count) { return count == 1 ? "once" : absl::StrCat(count, " times"); }

std::vector<Piece> TrainingPieces(const v1::Progress& progress) {
  std::vector<Piece> pieces = {
      {absl::StrFormat("epoch %s/%g", ReadableEpochs(progress.epoch(), progress.epochs()), progress.epochs()), 1},
      {absl::StrFormat("step %d/%d", progress.step(), progress.steps()), 0},
  };
  if (progress.step() > progress.resumed_step()) {  // a step was decided since the run started or resumed
    pieces.push_back({absl::StrFormat("loss %.4f", progress.loss()), 2});
    pieces.push_back({absl::StrFormat("cos %.3f", progress.target_cosine()), 4});
    pieces.push_back({absl::StrFormat("lr %.4g", progress.lr()), 6});
  }
  if (progress.samples_per_second() > 0) {
    pieces.push_back({absl::StrCat(ReadableRate(progress.samples_per_second()), " samples/s"), 5});
    pieces.push_back({absl::StrCat("ETA ", WholeSeconds(absl::Seconds(progress.eta_seconds()))), 3});
  }
  if (progress.skipped() > 0) pieces.push_back({absl::StrFormat("%d skipped", progress.skipped()), 7});
  if (progress.corrupt_records() > 0) {
    pieces.push_back({absl::StrFormat("%d corrupt records", progress.corrupt_records()), 8});
  }
  if (progress.recoveries() > 0) {
    pieces.push_back({absl::StrCat("recovered ", Times(progress.recoveries())), 9});
    if (progress.lost_steps() > 0) pieces.push_back({absl::StrFormat("%d steps lost", progress.lost_steps()), 8});
  }
  return pieces;
}

// "1200 of 12000 images"
std::string ImagesOf(const v1::Progress& progress) {
  return absl::StrFormat("%d of %d images", progress.verified_images(), progress.images_to_verify());
}

std::string Joining(const v1::Progress& progress) {
  if (progress.images_to_verify() > 0) return absl::StrCat("checking the verification sets  ", ImagesOf(progress));
  return progress.waiting_for().empty() ? "joining" : PrintableLine(progress.waiting_for());
}

std::string Recovering(const v1::Progress& progress) {
  return progress.waiting_for().empty() ? "recovering"
                                        : absl::StrCat("recovering: ", PrintableLine(progress.waiting_for()));
}

std::vector<Piece> VerifyingPieces(const v1::Progress& progress) {
  std::vector<Piece> pieces = {{absl::StrCat("verifying after step ", progress.step()), 0}};
  if (progress.images_to_verify() > 0) pieces.push_back({ImagesOf(progress), 1});
  if (progress.eta_seconds() > 0) {
    pieces.push_back({absl::StrCat("ETA ", WholeSeconds(absl::Seconds(progress.eta_seconds()))), 2});
  }
  return pieces;
}

}  // namespace

std::string ProgressLine(const v1::Progress& progress, size_t width) {
  switch (progress.phase()) {
    case v1::Progress::PHASE_GATHERING:
      return CutTo(progress.waiting_for().empty() ? "gathering" : PrintableLine(progress.waiting_for()), width);
    case v1::Progress::PHASE_JOINING:
      return CutTo(Joining(progress), width);
    case v1::Progress::PHASE_RECOVERING:
      return CutTo(Recovering(progress), width);
    case v1::Progress::PHASE_TRAINING:
      return Fit(TrainingPieces(progress), width);
    case v1::Progress::PHASE_EVALUATING:
      return Fit(VerifyingPieces(progress), width);
    case v1::Progress::PHASE_STOPPING:
      return CutTo(absl::StrCat("writing model and checkpoint after step ", progress.step()), width);
    case v1::Progress::PHASE_FINISHED:
      return CutTo(absl::StrCat("finished after step ", progress.step()), width);
    case v1::Progress::PHASE_FAILED:
      return CutTo(absl::StrCat("failed: ", PrintableLine(progress.waiting_for())), width);
    default:
      return "";
  }
}

std::string ProgressWithBar(const v1::Progress& progress, size_t width, bool colours) {
  const std::string line = ProgressLine(progress, width);
  const size_t columns = Columns(line);
  if (progress.phase() != v1::Progress::PHASE_TRAINING || progress.steps() == 0 || columns >= width) return line;
  const double share = static_cast<double>(progress.step()) / static_cast<double>(progress.steps());
  const std::string percent = absl::StrFormat(" %3d%%  ", static_cast<int>(100 * share));
  const size_t room = width - columns;
  if (room < percent.size() + kShortestBar) return line;
  return absl::StrCat(Bar(share, std::min(room - percent.size(), kLongestBar), colours), percent, line);
}

std::vector<std::string> VerificationLines(const v1::Progress& progress) {
  std::vector<std::string> lines;
  const std::string step = absl::StrCat("step ", progress.verification_step());
  const bool best = progress.best_accuracy() > 0 && progress.best_step() == progress.verification_step();
  const absl::string_view praise = best ? kBestSoFar : "";
  const bool one = progress.verification_size() == 1;
  for (const v1::Verification& set : progress.verification()) {
    const absl::StatusOr<VerificationReport> report = FromProto(set);
    if (!report.ok()) continue;  // from a coordinator of another version
    lines.push_back(absl::StrCat(step, " ", report->name, ": ", DescribeFolds(*report), one ? praise : ""));
    lines.push_back(absl::StrCat("  ", DescribeAllPairs(*report)));
  }
  if (progress.verification_size() > 1 && best) {
    lines.push_back(absl::StrFormat("%s: mean accuracy %.4f over %d sets%s", step, progress.best_accuracy(),
                                    progress.verification_size(), praise));
  }
  return lines;
}

std::string DescribeRecoveries(uint64_t recoveries, uint64_t lost_steps) {
  const std::string lost = lost_steps == 0   ? "no step was lost"
                           : lost_steps == 1 ? "1 step was lost"
                                             : absl::StrCat(lost_steps, " steps were lost");
  return absl::StrCat("recovered ", Times(recoveries), ", ", lost);
}

std::string WholeSeconds(absl::Duration duration) {
  if (duration < absl::Seconds(1)) return "0s";
  return absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
}

}  // namespace arcshard::cli
