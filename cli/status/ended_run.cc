#include "cli/status/ended_run.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/display/progress_line.h"
#include "cli/display/terminal.h"
#include "cli/status/status_json.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file.h"
#include "common/io/file_system.h"
#include "common/rpc/convert/convert_reports.h"
#include "common/text/printable_text.h"
#include "common/text/readable_number.h"

namespace arcshard::cli {
namespace {

std::string Date(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone()); }

// The last life's end. "interrupted": none is recorded, because the coordinator was killed or still runs.
std::string OutcomeOf(const RunRecord& record) {
  const std::string& outcome = record.lives.back().outcome;
  return outcome.empty() ? "interrupted" : outcome;
}

const RunRecord::Life& FirstLife(const RunRecord& record) {
  return record.lives[record.lives.size() - record.starts()];
}

v1::Progress ProgressOf(const EndedRunStatus& run) {
  const RunRecord& record = run.record;
  v1::Progress progress;
  progress.set_waiting_for(record.lives.back().sentence);
  progress.set_steps(record.planned_steps);
  if (!record.steps.empty()) {
    const RunRecord::Step& last = record.steps.back();
    progress.set_step(last.step);
    progress.set_epoch(last.epoch);
    progress.set_loss(last.loss);
    progress.set_target_cosine(last.target_cosine);
    progress.set_lr(last.lr);
    progress.set_skipped(last.skipped);
    progress.set_corrupt_records(last.corrupt_records);
  }
  // The end's line may know of a later step than the last step's line.
  progress.set_step(std::max(progress.step(), record.lives.back().step));
  if (!record.verifications.empty()) {
    for (const VerificationReport& set : record.verifications.back().sets) *progress.add_verification() = ToProto(set);
    progress.set_verification_step(record.verifications.back().step);
  }
  progress.set_best_accuracy(record.best.accuracy);
  progress.set_best_step(record.best.step);
  progress.set_checkpoint_step(run.checkpoint_step);
  progress.set_recoveries(record.recoveries.size());
  progress.set_lost_steps(record.lost_steps());
  if (!record.recoveries.empty()) progress.set_last_recovery(record.recoveries.back().sentence);
  return progress;
}

std::string StepLine(const EndedRunStatus& run, const v1::Progress& progress) {
  std::string line = absl::StrCat("step ", progress.step());
  if (progress.steps() > 0) absl::StrAppend(&line, " of ", progress.steps());
  if (run.record.steps.empty()) return line;
  absl::StrAppendFormat(&line, ", epoch %s, loss %.4f, cos %.3f, lr %.4g",
                        ReadableEpochs(progress.epoch(), progress.epoch()), progress.loss(), progress.target_cosine(),
                        progress.lr());
  if (progress.skipped() > 0) absl::StrAppend(&line, ", ", progress.skipped(), " skipped");
  if (progress.corrupt_records() > 0) absl::StrAppend(&line, ", ", progress.corrupt_records(), " corrupt records");
  return line;
}

std::string TimeLine(const RunRecord& record) {
  const std::string starts = record.starts() > 1 ? absl::StrCat(" in ", record.starts(), " starts") : "";
  return absl::StrCat("ran for ", WholeSeconds(record.took()), starts, ", from ", Date(FirstLife(record).began), " to ",
                      Date(record.lives.back().last));
}

std::string LivingHint(const EndedRunStatus& run) {
  if (!run.record.lives.back().outcome.empty()) return "";
  return "no end is recorded: its coordinator was killed, or it still runs and was started by hand (then use "
         "--coordinator host:port)";
}

}  // namespace

absl::StatusOr<EndedRunStatus> ReadEndedRun(const std::string& run_folder) {
  ASSIGN_OR_RETURN(const std::string lines, ReadFile(absl::StrCat(run_folder, "/metrics.jsonl")));
  EndedRunStatus run = {.run_folder = run_folder, .record = ReadRunRecord(lines)};
  if (run.record.lives.empty()) return absl::NotFoundError(absl::StrCat(run_folder, ": metrics.jsonl is empty"));
  const auto complete = ListCheckpoints(RealFileSystem(), run_folder);  // whatever keeps it from being read: none
  if (complete.ok() && !complete->empty()) run.checkpoint_step = complete->front().step;
  std::string backbone = absl::StrCat(run_folder, "/model/backbone.safetensors");
  std::error_code error;
  if (std::filesystem::exists(backbone, error)) run.backbone = std::move(backbone);
  return run;
}

bool WasInterrupted(const EndedRunStatus& run) { return run.record.lives.back().outcome.empty(); }

std::string EndedRunText(const EndedRunStatus& run, const StatusLook& look) {
  const std::string outcome = OutcomeOf(run.record);
  const v1::Progress progress = ProgressOf(run);
  const Ink ink = outcome == "finished" ? Ink::kGood : outcome == "failed" ? Ink::kBad : Ink::kStrong;
  std::vector<std::string> lines = {absl::StrCat("run ", run.run_folder, ": ", outcome)};
  for (const std::string& sentence : {run.record.lives.back().sentence, LivingHint(run)}) {
    if (!sentence.empty()) lines.push_back(sentence);
  }
  lines.push_back(StepLine(run, progress));
  lines.push_back(TimeLine(run.record));
  if (progress.recoveries() > 0) {
    lines.push_back(DescribeRecoveries(progress.recoveries(), progress.lost_steps()));
    lines.push_back(absl::StrCat("the last time: ", progress.last_recovery()));
  }
  if (run.record.num_classes > 0) lines.push_back(absl::StrCat(run.record.num_classes, " classes"));
  if (run.checkpoint_step > 0) lines.push_back(absl::StrCat("last checkpoint: step ", run.checkpoint_step));
  if (!run.backbone.empty()) lines.push_back(absl::StrCat("backbone: ", run.backbone));
  const std::vector<std::string> verification = VerificationLines(progress);
  lines.insert(lines.end(), verification.begin(), verification.end());
  std::string text;
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string wrapped = Wrap(PrintableLine(lines[i]), look.width);
    absl::StrAppend(&text, i == 0 ? Paint(look.colours, ink, wrapped) : wrapped, "\n");
  }
  return text;
}

std::string EndedRunJson(const EndedRunStatus& run) {
  const RunRecord& record = run.record;
  nlohmann::ordered_json progress = ProgressObject(ProgressOf(run));
  progress["phase"] = OutcomeOf(record);
  const auto seconds = [](absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); };
  return StatusDocument({{"run_folder", run.run_folder},
                         {"coordinator", nullptr},
                         {"num_classes", record.num_classes},
                         {"progress", progress},
                         {"members", nlohmann::ordered_json::array()},
                         {"ended",
                          {{"outcome", OutcomeOf(record)},
                           {"sentence", record.lives.back().sentence},
                           {"began", seconds(FirstLife(record).began)},
                           {"last_report", seconds(record.lives.back().last)},
                           {"seconds", absl::ToDoubleSeconds(record.took())},
                           {"starts", record.starts()},
                           {"backbone", run.backbone}}}});
}

}  // namespace arcshard::cli
