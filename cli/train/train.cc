#include "cli/train/train.h"

#include <csignal>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/display/console.h"
#include "cli/supervision/run_folder.h"
#include "cli/train/input_check.h"
#include "cli/train/input_contents.h"
#include "cli/train/train_run.h"
#include "common/base/device_name.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/config/load_config.h"
#include "common/config/path_text.h"
#include "common/program/signal_queue.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

absl::StatusOr<RunConfig> LoadChecked(const TrainOptions& options) {
  for (const auto* devices : {&options.shard_devices, &options.worker_devices}) {
    for (const std::string& device : *devices) RETURN_IF_ERROR(ParseDeviceName(device).status());
  }
  ASSIGN_OR_RETURN(RunConfig config, LoadRunConfig(options.config, options.overrides));
  RETURN_IF_ERROR(Annotate(CheckInputs(config, !options.resume.empty()), options.config));
  return config;
}

// For a run to resume, sets the configuration to the one that its last coordinator wrote to its folder, and the run's
// folder to where it is now, which may not be where it was.
absl::StatusOr<TrainOptions> Resolved(TrainOptions options) {
  if (options.resume.empty()) return options;
  options.config = absl::StrCat(options.resume, "/config.yaml");
  std::error_code error;
  if (!std::filesystem::is_regular_file(options.config, error)) {
    return absl::NotFoundError(absl::StrCat(options.resume, ": there is no run to resume: it has no config.yaml"));
  }
  options.overrides.push_back(absl::StrCat("run.folder=", EscapePath(options.resume)));
  return options;
}

}  // namespace

absl::Status DryRun(const TrainOptions& given) {
  ASSIGN_OR_RETURN(const TrainOptions options, Resolved(given));
  ASSIGN_OR_RETURN(const RunConfig config, LoadChecked(options));
  ASSIGN_OR_RETURN(const std::vector<std::string> found, InspectInputs(config, !options.resume.empty()));
  std::string text = ToYaml(config);
  for (const std::string& sentence : found) absl::StrAppend(&text, "# ", PrintableLine(sentence), "\n");
  return PrintData(text);
}

absl::StatusOr<int> Train(const TrainOptions& given) {
  ASSIGN_OR_RETURN(const TrainOptions options, Resolved(given));
  ASSIGN_OR_RETURN(const RunConfig config, LoadChecked(options));
  ASSIGN_OR_RETURN(RunFolder folder, RunFolder::Take(config.run.folder));
  signal(SIGCHLD, SIG_DFL);  // where the caller ignores it, the kernel would not tell how children have ended
  ASSIGN_OR_RETURN(std::unique_ptr<SignalQueue> signals,
                   SignalQueue::Create({SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD}));
  return TrainRun(options, config, std::move(folder), std::move(signals)).Run();
}

TrainCommand::TrainCommand(CommandLine program)
    : Command(program.AddCommand("train", "Train with coordinator, shards and workers on this machine")) {
  CommandLineOption config = line()
                                 .Add("config", &options_.config, "The run's YAML file; arcshard config lists its keys")
                                 .ValueName("run.yaml");
  CommandLineOption resume =
      line()
          .Add("--resume", &options_.resume, "Resume the run in this folder from its newest checkpoint")
          .ValueName("folder")
          .Excludes(config);
  line()
      .AddFlag("--allow-older", &options_.allow_older, "Resume from an older checkpoint if the newest is damaged")
      .Needs(resume);
  line()
      .AddFlag("--restart", &options_.restart,
               "Start a new run although run.folder has checkpoints; they are kept, in checkpoints-before-N")
      .Excludes(resume);
  cluster_.AddTo(&line());
  AddOverrides(&line(), &options_.overrides);
  line()
      .Add("--shard-device", &options_.shard_devices,
           "Where shards compute: cpu (default), cuda (each shard a GPU of its own) or cuda:N; several devices, "
           "separated by commas, are assigned in turn, and shards that get the same GPU share it")
      .SeparatedByCommas()
      .OneValueEach();
  line()
      .Add("--worker-device", &options_.worker_devices, "Where workers compute; likewise")
      .SeparatedByCommas()
      .OneValueEach();
  line()
      .Add("--max-restarts", &options_.max_restarts,
           "How often one process may be started again within 10 minutes after a signal has killed it, as the kernel "
           "does when memory runs out; 0: the first such death ends the run")
      .Within(0, 1'000'000)
      .ShowDefault();
  line()
      .Add("--trace", &options_.trace,
           "File for a trace of what each process does and when, which ui.perfetto.dev shows; it is written when the "
           "run ends")
      .ValueName("trace.json");
  line().AddFlag("--quiet", &options_.quiet, "Print nothing but errors; arcshard status shows the run");
  line().AddFlag("--dry-run", &dry_run_,
                 "Check the configuration, look inside the files it names, print both, and exit");
}

absl::Status TrainCommand::Check() const {
  for (const std::string& override : options_.overrides) {
    if (options_.resume.empty() || !absl::StartsWith(override, "run.folder=")) continue;
    return absl::InvalidArgumentError(absl::StrCat("--set ", override, " cannot be given with --resume ",
                                                   options_.resume,
                                                   ": a run resumes in its own folder, which may be moved before"));
  }
  if (!options_.config.empty() || !options_.resume.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "train needs the run's YAML file, or --resume with a run's folder (see arcshard train --help)");
}

absl::StatusOr<int> TrainCommand::Run() {
  options_.bin_folder = FolderOfThisProgram();
  cluster_.AppendTo(&options_.overrides);
  if (!dry_run_) return Train(options_);
  RETURN_IF_ERROR(DryRun(options_));
  return 0;
}

}  // namespace arcshard::cli
