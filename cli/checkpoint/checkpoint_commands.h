#pragma once

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/statusor.h"
#include "cli/checkpoint/export_checkpoint.h"
#include "cli/insightface/import_checkpoint.h"
#include "common/program/security_options.h"

namespace arcshard::cli {

// `arcshard checkpoint ls | show | verify | take | export | import`.
class CheckpointCommands {
 public:
  // Adds them to `app`, which must outlive this.
  explicit CheckpointCommands(CLI::App* app);

  bool parsed() const { return checkpoint_->parsed(); }
  // Prints what there is to see, or what was made; the exit status.
  absl::StatusOr<int> Run() const;

 private:
  CLI::App* Add(const char* name, const char* help);
  void AddTake();
  void AddExport();
  void AddImport();
  absl::StatusOr<std::string> Export() const;
  absl::StatusOr<int> Take() const;

  std::string path_;         // of a run or a checkpoint
  std::string coordinator_;  // host:port
  SecurityOptions security_;
  ExportOptions export_options_;
  std::string rows_;  // "A:B"
  ImportOptions import_options_;
  std::string format_ = "insightface";
  CLI::App* checkpoint_;
  CLI::App* ls_;  // after the values: a command's help shows their defaults
  CLI::App* show_;
  CLI::App* verify_;
  CLI::App* take_ = nullptr;
  CLI::App* export_ = nullptr;
  CLI::App* import_ = nullptr;
};

}  // namespace arcshard::cli
