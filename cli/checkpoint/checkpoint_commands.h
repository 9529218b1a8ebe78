#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/checkpoint/export_checkpoint.h"
#include "cli/command/command.h"
#include "cli/insightface/import_checkpoint.h"
#include "common/program/security_options.h"

namespace arcshard::cli {

// `arcshard checkpoint ls | show | verify | take | export | import`. import is carried out by arcshard-model, to which
// Run hands over.
class CheckpointCommands : public Command {
 public:
  explicit CheckpointCommands(CommandLine program);

  absl::StatusOr<int> Run() override;

 protected:
  const ImportOptions& import_options() const { return import_options_; }

 private:
  // Describes the checkpoint that was made.
  virtual absl::StatusOr<std::string> Import() const;

  CommandLine Add(const char* name, const char* help);
  CommandLine AddOnPath(const char* name, const char* help);
  void AddTakeOptions();
  void AddExportOptions();
  void AddImportOptions();
  absl::StatusOr<std::string> Export() const;
  absl::StatusOr<int> Take() const;

  std::string path_;         // of a run or a checkpoint
  std::string coordinator_;  // host:port
  SecurityOptions security_;
  ExportOptions export_options_;
  std::string rows_;  // "A:B"
  ImportOptions import_options_;
  std::string format_ = "insightface";
  CommandLine ls_, show_, verify_, take_, export_, import_;  // after the values, which their help shows as defaults
};

}  // namespace arcshard::cli
