#pragma once

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "launcher/export_checkpoint.h"
#include "launcher/import_checkpoint.h"

namespace arcshard::launcher {

// `arcshard checkpoint ls | show | verify | export | import`.
class CheckpointCommands {
 public:
  // Adds them to `app`, which must outlive this.
  explicit CheckpointCommands(CLI::App* app);

  bool parsed() const { return checkpoint_->parsed(); }
  // Prints what there is to see, or what was made.
  absl::Status Run() const;

 private:
  CLI::App* Add(const char* name, const char* help);
  void AddExport();
  void AddImport();

  std::string path_;  // of a run or a checkpoint
  ExportOptions export_options_;
  std::string rows_;  // "A:B"
  ImportOptions import_options_;
  std::string format_ = "insightface";
  CLI::App* checkpoint_;
  CLI::App* ls_;  // after the values: a command's help shows their defaults
  CLI::App* show_;
  CLI::App* verify_;
  CLI::App* export_ = nullptr;
  CLI::App* import_ = nullptr;
};

}  // namespace arcshard::launcher
