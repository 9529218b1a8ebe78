#include "cli/checkpoint/checkpoint_commands.h"

#include <cstdio>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "cli/checkpoint/show_checkpoint.h"
#include "cli/checkpoint/take_checkpoint.h"
#include "cli/command/model_program.h"
#include "cli/display/console.h"
#include "cli/supervision/run_folder.h"
#include "common/base/status_macros.h"
#include "common/net/host_port.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

// Parses "A:B", the rows from A to before B.
std::optional<ClassRange> ParseRows(absl::string_view text) {
  const size_t colon = text.find(':');
  ClassRange range;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(text.substr(0, colon), &range.begin) ||
      !absl::SimpleAtoi(text.substr(colon + 1), &range.end) || range.begin < 0 || range.end <= range.begin) {
    return std::nullopt;
  }
  return range;
}

// What is wrong with `text`; empty: nothing.
std::string CheckRows(const std::string& text) {
  return ParseRows(text).has_value() ? "" : absl::StrCat(text, " is not a range of rows such as 0:1000");
}

}  // namespace

CheckpointCommands::CheckpointCommands(CommandLine program)
    : Command(program.AddCommand("checkpoint", "List, show, check, take, export and import checkpoints")),
      ls_(Add("ls", "List the checkpoints of a run, newest first")),
      show_(AddOnPath("show", "Show what a checkpoint holds")),
      verify_(AddOnPath("verify", "Read and check every byte of a checkpoint; exit status 1 if it is damaged")),
      take_(Add("take", "Make a run that is training take a checkpoint now, and wait until it is complete")),
      export_(AddOnPath("export", "Write the class centers of all shards as one tensor, and the backbone")),
      import_(Add("import", "Make a checkpoint from another program's files")) {
  ls_.Add("run", &path_, "The run's folder (run.folder)").ValueName("RUN").Required();
  AddTakeOptions();
  AddExportOptions();
  AddImportOptions();
}

CommandLine CheckpointCommands::Add(const char* name, const char* help) { return line().AddCommand(name, help); }

CommandLine CheckpointCommands::AddOnPath(const char* name, const char* help) {
  CommandLine command = Add(name, help);
  command.Add("path", &path_, "A run's folder (its newest checkpoint) or a checkpoint's own")
      .ValueName("PATH")
      .Required();
  return command;
}

void CheckpointCommands::AddTakeOptions() {
  CommandLineOption folder =
      take_.Add("run", &path_, "The run's folder (run.folder), on this machine").ValueName("RUN");
  take_.Add("--coordinator", &coordinator_, "host:port of the run's coordinator instead, on any machine")
      .Check(PeerAddressProblem)
      .Excludes(folder);
  security_.AddTo(&take_, SecurityOptions::Listens::kNo);
}

void CheckpointCommands::AddExportOptions() {
  CommandLineOption centers =
      export_.Add("--centers", &export_options_.centers, "File for the class centers: class_centers, rows×D, float32")
          .ValueName("FILE.safetensors");
  export_.Add("--rows", &rows_, "Only these classes, from A to before B")
      .ValueName("A:B")
      .Check(CheckRows)
      .Needs(centers);
  export_.AddFlag("--as-held", &export_options_.as_held, "Write class centers in the type of the shards (head.weights)")
      .Needs(centers);
  export_.Add("--backbone", &export_options_.backbone, "File for the backbone, under InsightFace's parameter names")
      .ValueName("FILE.safetensors");
  export_.AddFlag("--force", &export_options_.force, "Replace files that exist");
}

void CheckpointCommands::AddImportOptions() {
  import_
      .Add("folder", &import_options_.folder,
           "Its folder: checkpoint_gpu_<rank>.pt, or rank_<rank>_softmax_weight.pt with _mom.pt, and model.pt or "
           "backbone.pth")
      .ValueName("FOLDER")
      .Required();
  import_.Add("out", &import_options_.out, "The checkpoint to make, for init_from.checkpoint of a run")
      .ValueName("OUT")
      .Required();
  import_.Add("--format", &format_, "The program that wrote the files").OneOf({"insightface"}).ShowDefault();
  import_.Add("--classes", &import_options_.num_classes, "N that all ranks must have together").Positive();
  import_.Add("--embedding-size", &import_options_.embedding_size, "D that the class centers must have").Positive();
  import_.AddFlag("--force", &import_options_.force, "Replace a checkpoint that exists");
}

absl::StatusOr<std::string> CheckpointCommands::Export() const {
  ExportOptions options = export_options_;
  options.checkpoint = path_;
  if (!rows_.empty()) options.rows = ParseRows(rows_);
  if (options.centers.empty() && options.backbone.empty()) {
    return absl::InvalidArgumentError("checkpoint export needs --centers or --backbone, the files to write");
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
  RETURN_IF_ERROR(PrintText(absl::StrCat(PrintableLine(taken.folder), ": complete, of step ", taken.step, "\n")));
  return 0;
}

absl::StatusOr<std::string> CheckpointCommands::Import() const {
  RETURN_IF_ERROR(HandOverToModelProgram().status());
  return "";  // not reached
}

absl::StatusOr<int> CheckpointCommands::Run() {
  if (take_.given()) return Take();
  FileSystem* const files = RealFileSystem();
  const absl::StatusOr<std::string> text = ls_.given()       ? ListOfCheckpoints(files, path_)
                                           : show_.given()   ? CheckpointText(files, path_)
                                           : verify_.given() ? VerifyCheckpoint(files, path_)
                                           : import_.given() ? Import()
                                                             : Export();
  RETURN_IF_ERROR(text.status());
  RETURN_IF_ERROR(PrintText(*text));
  return 0;
}

}  // namespace arcshard::cli
