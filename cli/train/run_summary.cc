#include "cli/train/run_summary.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "cli/display/progress_line.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/config/check_resumable.h"
#include "common/config/load_config.h"
#include "common/text/readable_number.h"

namespace arcshard::cli {
namespace {

// `path` in a form that a shell reads as one word.
std::string Quoted(const std::string& path) {
  const auto plain = [](char c) { return absl::ascii_isalnum(c) || absl::StrContains("/._-+=:,@%", c); };
  if (!path.empty() && std::all_of(path.begin(), path.end(), plain)) return path;
  return absl::StrCat("'", absl::StrReplaceAll(path, {{"'", "'\\''"}}), "'");
}

RunSummary SummarizeTraining(const EndedRun& run, const RunConfig& config) {
  const v1::Progress& progress = run.progress;
  const bool any_step = progress.step() > progress.resumed_step();
  if (!any_step && !IsComplete(progress)) {
    return {.lines = {progress.step() == 0 ? "stopped before the first step"
                                           : absl::StrCat("stopped before the first step after ", progress.step())}};
  }
  const std::string steps = absl::StrFormat("%d of %d steps (%s of %g epochs)", progress.step(), progress.steps(),
                                            ReadableEpochs(progress.epoch(), progress.epochs()), progress.epochs());
  // The time is that of this life of the run alone.
  const std::string since =
      progress.resumed_step() == 0 ? "" : absl::StrCat(", ", progress.step() - progress.resumed_step(), " of them");
  RunSummary summary;
  summary.headline = any_step ? absl::StrCat(run.interrupted ? "stopped in order: " : "", "trained ", steps, since,
                                             " in ", WholeSeconds(run.trained_for))
                              : absl::StrCat("nothing was left to train: all ", steps, " are done");
  if (run.recoveries.recoveries() > 0) {
    summary.lines.push_back(DescribeRecoveries(run.recoveries.recoveries(), run.recoveries.lost_steps()));
  }
  const std::vector<std::string> verification = VerificationLines(progress);
  summary.lines.insert(summary.lines.end(), verification.begin(), verification.end());
  summary.lines.push_back(absl::StrCat("backbone: ", run.backbone));
  if (config.verification.keep_best && progress.best_step() < progress.verification_step()) {
    summary.lines.push_back(absl::StrFormat("best of all verifications: %s (step %d, accuracy %.4f)", run.best_backbone,
                                            progress.best_step(), progress.best_accuracy()));
  }
  summary.lines.push_back(absl::StrCat("a page about this run: arcshard report ", Quoted(config.run.folder)));
  return summary;
}

}  // namespace

void RecoveryTally::Take(const v1::Progress& report) {
  now_ = {.recoveries = report.recoveries(), .lost_steps = report.lost_steps()};
}

void RecoveryTally::BeginLife() {
  before_ = {.recoveries = recoveries(), .lost_steps = lost_steps()};
  now_ = {};
}

bool IsComplete(const v1::Progress& progress) { return progress.steps() > 0 && progress.step() >= progress.steps(); }

RunSummary Summarize(const EndedRun& run, const RunConfig& config) {
  RunSummary summary = SummarizeTraining(run, config);
  if (run.logs_lost) {
    summary.lines.push_back(
        absl::StrCat(config.run.folder, "/logs was deleted or moved during the run: earlier lines are gone"));
  }
  return summary;
}

std::string WhatIsLost(FileSystem* files, const v1::Progress& progress, const std::string& backbone) {
  const bool has_model = progress.phase() == v1::Progress::PHASE_FINISHED && progress.steps() > 0;
  if (!has_model || !absl::IsNotFound(files->Open(backbone).status())) return "";
  return absl::StrCat("the run ended in order, but ", backbone,
                      " is not there: was run.folder deleted or moved meanwhile?");
}

std::vector<std::string> ChangesSinceCheckpoint(FileSystem* files, const RunConfig& config) {
  const auto complete = ListCheckpoints(files, config.run.folder);
  if (!complete.ok() || complete->empty()) return {};
  const std::string folder = CheckpointFolder(config.run.folder, complete->front());
  const absl::StatusOr<OpenCheckpoint> newest = OpenCheckpoint::Open(files, folder);
  if (!newest.ok()) return {};
  const absl::StatusOr<RunConfig> then = ParseRunConfig(newest->manifest().config_yaml, folder, {});
  if (!then.ok()) return {};
  std::vector<std::string> lines = DescribeChanges(config, *then);
  for (std::string& line : lines) {
    line = absl::StrCat("changed since the checkpoint of step ", complete->front().step, ": ", line);
  }
  return lines;
}

std::string HowToResume(FileSystem* files, const std::string& run_folder, FailureCause cause) {
  const auto complete = ListCheckpoints(files, run_folder);
  if (!complete.ok() || complete->empty()) return "";
  if (!files->Open(absl::StrCat(run_folder, "/config.yaml")).ok()) return "";
  const std::string command = absl::StrCat("arcshard train --resume ", Quoted(run_folder));
  if (cause == FailureCause::kCheckpointUnreadable) {
    return absl::StrCat("to resume from the newest checkpoint that is intact: ", command, " --allow-older");
  }
  return absl::StrCat("the newest checkpoint is of step ", complete->front().step, "; to resume: ", command);
}

}  // namespace arcshard::cli
