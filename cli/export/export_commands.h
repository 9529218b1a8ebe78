#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "cli/command/command.h"

namespace arcshard::cli {

struct ExportBackboneOptions {
  std::string backbone;  // safetensors, as a run writes it
  std::string output;
  bool force = false;  // replace a file that exists
};

// Write a backbone for other programs, and return a description of the file. The file appears whole or not at all.
// Errors are those of CheckOutputFile, OnnxModelOf, WriteTorchStateDict and SafetensorsFile.
absl::StatusOr<std::string> ExportOnnx(const ExportBackboneOptions& options);
absl::StatusOr<std::string> ExportTorch(const ExportBackboneOptions& options);

// `arcshard export onnx | pt`.
class ExportCommands : public Command {
 public:
  explicit ExportCommands(CommandLine program);

  absl::StatusOr<int> Run() override;

 private:
  CommandLine Add(const char* name, const char* help, const char* output);

  ExportBackboneOptions options_;
  CommandLine onnx_, pt_;
};

}  // namespace arcshard::cli
