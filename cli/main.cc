// arcshard: trains on this machine, shows how a run stands, reports on it, verifies, embeds, prepares data, makes
// certificates, explains the configuration.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/certs/certs_commands.h"
#include "cli/checkpoint/checkpoint_commands.h"
#include "cli/data/data_commands.h"
#include "cli/display/terminal.h"
#include "cli/model/embed.h"
#include "cli/model/verify.h"
#include "cli/plan/plan.h"
#include "cli/report/report.h"
#include "cli/status/status.h"
#include "cli/train/train.h"
#include "common/config/load_config.h"
#include "common/config/nearest_name.h"
#include "common/program/security_options.h"

namespace arcshard::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kUsageError = 2;

// Descriptors 0, 1 and 2 must be taken: what is opened next would become stdout otherwise.
void OccupyStandardDescriptors() {
  int fd;
  do {
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) close(fd);
}

std::string FolderOfThisProgram() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

int Complain(absl::string_view sentence, int status) {
  const std::string error = Paint(HasColours(STDERR_FILENO), Ink::kBad, "error:");
  std::fprintf(stderr, "arcshard: %s %s\n", error.c_str(), std::string(sentence).c_str());
  return status;
}

struct Arguments {
  TrainOptions train;
  uint32_t shards = 0, workers = 0;  // 0: as configured
  bool dry_run = false;
  VerifyOptions verify;
  EmbedCommandOptions embed;
  ReportOptions report;
  PlanOptions plan;
  StatusOptions status;
  double status_timeout = 5, status_interval = 2;  // seconds
  SecurityOptions status_security;
};

CLI::App* AddTrain(CLI::App* app, Arguments* arguments) {
  CLI::App* train = app->add_subcommand("train", "Train with coordinator, shards and workers on this machine");
  CLI::Option* config =
      train->add_option("config", arguments->train.config, "The run's YAML file; arcshard config lists its keys")
          ->type_name("run.yaml");
  CLI::Option* resume = train
                            ->add_option("--resume", arguments->train.resume,
                                         "Go on with the run in this folder, from its newest checkpoint")
                            ->type_name("folder")
                            ->excludes(config);
  train->add_flag("--allow-older", arguments->train.allow_older, "From an older checkpoint where the newest is damaged")
      ->needs(resume);
  train
      ->add_flag("--restart", arguments->train.restart,
                 "Start anew where run.folder has checkpoints already; they are kept, in checkpoints-before-N")
      ->excludes(resume);
  train->add_option("--shards", arguments->shards, "Instead of cluster.shards")->check(CLI::PositiveNumber);
  train->add_option("--workers", arguments->workers, "Instead of cluster.workers")->check(CLI::PositiveNumber);
  train->add_option("--set", arguments->train.overrides, "A key's value instead of the file's; may be repeated")
      ->type_name("section.key=value")
      ->allow_extra_args(false);
  train
      ->add_option(
          "--shard-device", arguments->train.shard_devices,
          "Where shards compute: cpu (default), cuda (each a GPU of its own) or cuda:N; several, with commas, are "
          "handed out in turn, and a GPU that several get is shared")
      ->delimiter(',')
      ->allow_extra_args(false);
  train->add_option("--worker-device", arguments->train.worker_devices, "Where workers compute; likewise")
      ->delimiter(',')
      ->allow_extra_args(false);
  train->add_flag("--dry-run", arguments->dry_run, "Check the configuration and the files it names, print it, and end");
  return train;
}

// What verify and embed have in common.
template <typename Options>
void AddForwardOptions(CLI::App* command, Options* options) {
  command
      ->add_option("--threads", options->threads,
                   "Images are spread over this many CPU threads; default: all cores that the process may use")
      ->check(CLI::PositiveNumber);
  command->add_option("--batch", options->batch, "Images of a forward pass")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--pixel-mean", options->pixel_mean, "data.pixel_mean of the training")->capture_default_str();
  command->add_option("--pixel-std", options->pixel_std, "data.pixel_std of the training")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
}

CLI::App* AddVerify(CLI::App* app, VerifyOptions* options) {
  CLI::App* verify = app->add_subcommand("verify", "Measure a trained backbone on verification sets");
  verify->add_option("backbone", options->backbone, "The backbone, as training leaves it")
      ->type_name("backbone.safetensors")
      ->required();
  verify->add_option("sets", options->sets, "InsightFace's .bin files of pairs")->type_name("set.bin")->required();
  AddForwardOptions(verify, options);
  return verify;
}

CLI::App* AddEmbed(CLI::App* app, EmbedCommandOptions* options) {
  CLI::App* embed = app->add_subcommand("embed", "Write the embeddings of images to a safetensors file");
  embed->add_option("backbone", options->backbone, "The backbone, as training leaves it")
      ->type_name("backbone.safetensors")
      ->required();
  embed
      ->add_option("input", options->input,
                   "A training set (folder, train.rec or list), a folder of images, an image, or a .bin of pairs")
      ->required();
  embed
      ->add_option("output", options->output,
                   "Tensors embeddings (n×D), labels (n; -1: none) and names (bytes of a JSON list)")
      ->type_name("out.safetensors")
      ->required();
  embed->add_flag("--flip", options->flip, "Sums of an image's embedding and its mirror image's, as verify takes them");
  embed->add_flag("--normalize", options->normalize, "Embeddings of norm 1");
  embed->add_flag("--skip-damaged", options->skip_damaged, "Name and leave out images that cannot be decoded");
  AddForwardOptions(embed, options);
  return embed;
}

CLI::App* AddPlan(CLI::App* app, Arguments* arguments) {
  PlanOptions* options = &arguments->plan;
  CLI::App* plan = app->add_subcommand("plan", "Say what a run will take: memory of a shard, network, how many shards");
  plan->add_option("config", options->config, "The run's YAML file")->type_name("run.yaml")->required();
  plan->add_option("--shards", arguments->shards, "Instead of cluster.shards")->check(CLI::PositiveNumber);
  plan->add_option("--workers", arguments->workers, "Instead of cluster.workers")->check(CLI::PositiveNumber);
  plan->add_option("--shard-memory-gb", options->shard_memory_gb,
                   "GiB that a shard may have resident: says how many shards are needed")
      ->check(CLI::PositiveNumber);
  plan->add_option("--set", options->overrides, "A key's value instead of the file's; may be repeated")
      ->type_name("section.key=value")
      ->allow_extra_args(false);
  plan->add_flag("--json", options->json, "As JSON, in bytes");
  return plan;
}

CLI::App* AddStatus(CLI::App* app, Arguments* arguments) {
  StatusOptions* options = &arguments->status;
  CLI::App* status = app->add_subcommand("status", "Show a run that is in progress: members, memory, phase times");
  CLI::Option* folder = status->add_option("run", options->run_folder, "Its folder (run.folder), on this machine");
  folder->type_name("folder");
  status->add_option("--coordinator", options->coordinator, "host:port of its coordinator instead, on any machine")
      ->excludes(folder);
  arguments->status_security.AddTo(status, SecurityOptions::Listens::kNo);
  status->add_flag("--json", options->json, "As JSON, with every member's figures");
  status->add_flag("--watch", options->watch, "Again and again until the run ends; on a terminal at the same place");
  status->add_option("--interval", arguments->status_interval, "Seconds from one look of --watch to the next")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  status->add_option("--timeout", arguments->status_timeout, "Seconds to wait for an answer")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  return status;
}

CLI::App* AddReport(CLI::App* app, ReportOptions* options) {
  CLI::App* report = app->add_subcommand("report", "Write one HTML page about a run, in progress or ended");
  report->add_option("run", options->run_folder, "Its folder (run.folder)")->type_name("folder")->required();
  report->add_option("-o,--output", options->output, "Where the page goes; default: report.html in the run's folder")
      ->type_name("report.html");
  return report;
}

int RunStatus(Arguments arguments) {
  StatusOptions& options = arguments.status;
  if (options.run_folder.empty() && options.coordinator.empty()) {
    return Complain("status needs a run's folder or --coordinator host:port (arcshard status --help tells more)",
                    kUsageError);
  }
  options.timeout = absl::Seconds(arguments.status_timeout);
  options.interval = absl::Seconds(arguments.status_interval);
  if (const auto exit_code = arguments.status_security.Take(std::nullopt, &options.security)) return *exit_code;
  const absl::Status status = ShowStatus(options);
  return status.ok() ? 0 : Complain(status.message(), kFailed);
}

// --shards and --workers.
void OverrideCluster(const Arguments& arguments, std::vector<std::string>* overrides) {
  if (arguments.shards > 0) overrides->push_back(absl::StrCat("cluster.shards=", arguments.shards));
  if (arguments.workers > 0) overrides->push_back(absl::StrCat("cluster.workers=", arguments.workers));
}

int RunPlan(Arguments arguments) {
  OverrideCluster(arguments, &arguments.plan.overrides);
  const absl::StatusOr<std::string> text = PlanOf(arguments.plan);
  if (!text.ok()) return Complain(text.status().message(), kFailed);
  std::fputs(text->c_str(), stdout);
  return 0;
}

int RunTrain(Arguments arguments) {
  TrainOptions& train = arguments.train;
  if (train.config.empty() && train.resume.empty()) {
    return Complain(
        "train needs the run's YAML file, or --resume with a run's folder (arcshard train --help tells more)",
        kUsageError);
  }
  train.bin_folder = FolderOfThisProgram();
  OverrideCluster(arguments, &train.overrides);
  if (arguments.dry_run) {
    const absl::Status status = DryRun(train);
    return status.ok() ? 0 : Complain(status.message(), kFailed);
  }
  const absl::StatusOr<int> status = Train(train);
  return status.ok() ? *status : Complain(status.status().message(), kFailed);
}

// A word that is no command, where one is expected, gets the nearest one; "": there is no such word.
std::string UnknownCommand(const CLI::App& app, int argc, char** argv) {
  const CLI::App* parent = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    std::vector<std::string> names;
    const CLI::App* found = nullptr;
    for (const CLI::App* command : parent->get_subcommands([](const CLI::App*) { return true; })) {
      if (command->get_name() == argv[i]) found = command;
      names.push_back(command->get_name());
    }
    if (names.empty()) return "";  // what follows are arguments
    if (found == nullptr) {
      return absl::StrCat("'", argv[i], "' is no command; did you mean ", NearestNames(argv[i], names), "?");
    }
    parent = found;
  }
  return "";
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("arcshard: margin-softmax training with the classes sharded over servers.", "arcshard");
  app.set_version_flag("--version", "arcshard " ARCSHARD_VERSION);
  app.require_subcommand(1);
  const CLI::App* train = AddTrain(&app, &arguments);
  const CLI::App* verify = AddVerify(&app, &arguments.verify);
  const CLI::App* embed = AddEmbed(&app, &arguments.embed);
  const CLI::App* plan = AddPlan(&app, &arguments);
  const CLI::App* status_command = AddStatus(&app, &arguments);
  const CLI::App* report = AddReport(&app, &arguments.report);
  const DataCommands data(&app);
  const CertsCommands certs(&app);
  const CheckpointCommands checkpoint(&app);
  app.add_subcommand("config", "List every key of a run's YAML file with its default");

  if (const std::string sentence = UnknownCommand(app, argc, argv); !sentence.empty()) {
    return Complain(sentence, kUsageError);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string help = "arcshard";                           // and the command that was given
    for (auto given = app.get_subcommands(); !given.empty(); given = given.front()->get_subcommands()) {
      absl::StrAppend(&help, " ", given.front()->get_name());
    }
    return Complain(absl::StrCat(error.what(), " (", help, " --help tells more)"), kUsageError);
  }
  if (train->parsed()) return RunTrain(arguments);
  if (plan->parsed()) return RunPlan(arguments);
  if (status_command->parsed()) return RunStatus(arguments);
  if (report->parsed()) {
    const absl::Status status = WriteReport(arguments.report);
    return status.ok() ? 0 : Complain(status.message(), kFailed);
  }
  if (data.parsed()) {
    const absl::StatusOr<int> status = data.Run();
    return status.ok() ? *status : Complain(status.status().message(), kFailed);
  }
  if (certs.parsed()) {
    const absl::Status status = certs.Run();
    return status.ok() ? 0 : Complain(status.message(), kFailed);
  }
  if (checkpoint.parsed()) {
    const absl::StatusOr<int> status = checkpoint.Run();
    return status.ok() ? *status : Complain(status.status().message(), kFailed);
  }
  if (embed->parsed()) {
    const absl::Status status = EmbedImages(arguments.embed);
    return status.ok() ? 0 : Complain(status.message(), kFailed);
  }
  if (verify->parsed()) {
    const absl::Status status = VerifyBackbone(arguments.verify);
    return status.ok() ? 0 : Complain(status.message(), kFailed);
  }
  std::fputs(ConfigHelp().c_str(), stdout);
  return 0;
}

}  // namespace
}  // namespace arcshard::cli

int main(int argc, char** argv) {
  arcshard::cli::OccupyStandardDescriptors();
  return arcshard::cli::Main(argc, argv);
}
