#include "cli/checkpoint/checkpoint_commands.h"

#include <cstdio>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cli/checkpoint/show_checkpoint.h"
#include "cli/checkpoint/take_checkpoint.h"
#include "cli/train/run_folder.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

// "A:B": rows from A to before B.
std::optional<ClassRange> ParseRows(absl::string_view text) {
  const size_t colon = text.find(':');
  ClassRange range;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(0, colon), &range.begin) ||
      !absl::SimpleAtoi(text.substr(colon + 1), &range.end) || range.begin < 0 || range.end <= range.begin) {
    return std::nullopt;
  }
  return range;
}

std::string CheckRows(const std::string& text) {  // a sentence if it is wrong, as CLI11 has it
  return ParseRows(text).has_value() ? "" : absl::StrCat(text, " is no range of rows such as 0:1000");
}

}  // namespace

CheckpointCommands::CheckpointCommands(CLI::App* app)
    : checkpoint_(app->add_subcommand("checkpoint", "List, show, check, take, export and import checkpoints")) {
  checkpoint_->require_subcommand(1);
  ls_ = checkpoint_->add_subcommand("ls", "List the checkpoints of a run, newest first");
  ls_->add_option("run", path_, "Its folder (run.folder)")->type_name("RUN")->required();
  show_ = Add("show", "Show what a checkpoint holds");
  verify_ = Add("verify", "Read and check every byte of a checkpoint; exit status 1 if it is damaged");
  AddTake();
  AddExport();
  AddImport();
}

CLI::App* CheckpointCommands::Add(const char* name, const char* help) {
  CLI::App* command = checkpoint_->add_subcommand(name, help);
  command->add_option("path", path_, "A run's folder (its newest checkpoint) or a checkpoint's own")
      ->type_name("PATH")
      ->required();
  return command;
}

void CheckpointCommands::AddTake() {
  take_ = checkpoint_->add_subcommand("take",
                                      "Have a run that trains take a checkpoint now, and wait until it is complete");
  CLI::Option* folder = take_->add_option("run", path_, "Its folder (run.folder), on this machine");
  folder->type_name("RUN");
  take_->add_option("--coordinator", coordinator_, "host:port of its coordinator instead, on any machine")
      ->excludes(folder);
  security_.AddTo(take_, SecurityOptions::Listens::kNo);
}

void CheckpointCommands::AddExport() {
  export_ = Add("export", "Write the class centers of all shards as one tensor, and the backbone");
  export_
      ->add_option("--centers", export_options_.centers,
                   "Write the class centers there: class_centers, rows×D, float32")
      ->type_name("FILE.safetensors");
  export_->add_option("--rows", rows_, "Only these classes, from A to before B")
      ->type_name("A:B")
      ->check(CheckRows)
      ->needs("--centers");
  export_->add_flag("--as-held", export_options_.as_held, "Class centers in the shards' type (head.weights)")
      ->needs("--centers");
  export_
      ->add_option("--backbone", export_options_.backbone,
                   "Write the backbone there, under InsightFace's parameter names")
      ->type_name("FILE.safetensors");
  export_->add_flag("--force", export_options_.force, "Replace files that are there");
}

void CheckpointCommands::AddImport() {
  import_ = checkpoint_->add_subcommand("import", "Make a checkpoint of what another program left");
  import_
      ->add_option(
          "folder", import_options_.folder,
          "Its folder: checkpoint_gpu_<rank>.pt, or rank_<rank>_softmax_weight.pt with _mom.pt, and model.pt or "
          "backbone.pth")
      ->type_name("FOLDER")
      ->required();
  import_->add_option("out", import_options_.out, "The checkpoint to make, for init_from.checkpoint of a run")
      ->type_name("OUT")
      ->required();
  import_->add_option("--format", format_, "Whose files they are")
      ->check(CLI::IsMember({"insightface"}))
      ->capture_default_str();
  import_->add_option("--classes", import_options_.num_classes, "N that all ranks must have together")
      ->check(CLI::PositiveNumber);
  import_->add_option("--embedding-size", import_options_.embedding_size, "D that the class centers must have")
      ->check(CLI::PositiveNumber);
  import_->add_flag("--force", import_options_.force, "Replace a checkpoint that is there");
}

absl::StatusOr<std::string> CheckpointCommands::Export() const {
  ExportOptions options = export_options_;
  options.checkpoint = path_;
  if (!rows_.empty()) options.rows = ParseRows(rows_);
  if (options.centers.empty() && options.backbone.empty()) {
    return absl::InvalidArgumentError("checkpoint export needs --centers or --backbone: where to write what");
  }
  return ExportCheckpoint(RealFileSystem(), options);
}

absl::StatusOr<int> CheckpointCommands::Take() const {
  if (path_.empty() && coordinator_.empty()) {
    return absl::InvalidArgumentError("checkpoint take needs a run's folder or --coordinator host:port");
  }
  Security security;
  if (const auto exit_code = security_.Take(std::nullopt, &security)) return *exit_code;
  std::string address = coordinator_;
  if (address.empty()) {
    ASSIGN_OR_RETURN(address, RunFolder::CoordinatorOf(path_));
  }
  ASSIGN_OR_RETURN(const TakenCheckpoint taken, TakeCheckpoint(address, security));
  std::puts(absl::StrCat(taken.folder, ": complete, of step ", taken.step).c_str());
  return 0;
}

absl::StatusOr<int> CheckpointCommands::Run() const {
  if (take_->parsed()) return Take();
  FileSystem* const files = RealFileSystem();
  const absl::StatusOr<std::string> text = ls_->parsed()       ? ListOfCheckpoints(files, path_)
                                           : show_->parsed()   ? CheckpointText(files, path_)
                                           : verify_->parsed() ? VerifyCheckpoint(files, path_)
                                           : import_->parsed() ? ImportCheckpoint(files, import_options_)
                                                               : Export();
  RETURN_IF_ERROR(text.status());
  std::fputs(text->c_str(), stdout);
  return 0;
}

}  // namespace arcshard::cli
