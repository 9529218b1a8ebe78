#include "cli/export/export_commands.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "cli/display/console.h"
#include "cli/export/export_onnx.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/io/output_file.h"
#include "common/io/safetensors.h"
#include "common/pickle/torch_writer.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {

absl::StatusOr<std::string> ExportOnnx(const ExportBackboneOptions& options) {
  RETURN_IF_ERROR(CheckOutputFile(options.output, options.force, {options.backbone}));
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(options.backbone));
  ASSIGN_OR_RETURN(const std::string model, OnnxModelOf(file));
  RETURN_IF_ERROR(WriteFileAtomically(options.output, model));
  return absl::StrCat(PrintableLine(options.output), ": ", PrintableLine(file.metadata().at("backbone")),
                      " from data (batch×3×", file.metadata().at("image_size"), "×", file.metadata().at("image_size"),
                      ", RGB) to embedding, ONNX operator set 13\n");
}

absl::StatusOr<std::string> ExportTorch(const ExportBackboneOptions& options) {
  RETURN_IF_ERROR(CheckOutputFile(options.output, options.force, {options.backbone}));
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(options.backbone));
  std::vector<std::vector<std::byte>> values;
  std::vector<TensorView> tensors;
  for (const auto& [name, entry] : file.entries()) {
    std::vector<std::byte>& bytes = values.emplace_back(entry.bytes);
    if (entry.shape.empty()) {
      if (entry.dtype != TensorDtype::kI64) {
        return absl::InvalidArgumentError(
            absl::StrCat(file.path(), ": tensor \"", name, "\" is a scalar and no counter"));
      }
      ASSIGN_OR_RETURN(const std::vector<int64_t> counter, file.Read<int64_t>(name));
      std::copy_n(reinterpret_cast<const std::byte*>(counter.data()), bytes.size(), bytes.begin());
    } else {
      RETURN_IF_ERROR(file.ReadRowBytes(name, entry.dtype, 0, entry.shape[0], absl::MakeSpan(bytes)));
    }
    tensors.push_back({{name, entry.dtype, entry.shape}, absl::MakeConstSpan(bytes)});
  }
  RETURN_IF_ERROR(WriteTorchStateDict(options.output, tensors));
  return absl::StrCat(PrintableLine(options.output), ": a state_dict of ", tensors.size(),
                      " tensors, for torch.load(..., weights_only=True)\n");
}

ExportCommands::ExportCommands(CommandLine program)
    : Command(program.AddCommand("export", "Write a trained backbone for ONNX runtimes or for PyTorch")),
      onnx_(Add("onnx", "Write a backbone as an ONNX model: data (batch×3×S×S, RGB, normalised) to embedding",
                "OUT.onnx")),
      pt_(Add("pt", "Write a backbone's tensors as a PyTorch state_dict, under InsightFace's names", "OUT.pt")) {}

CommandLine ExportCommands::Add(const char* name, const char* help, const char* output) {
  CommandLine command = line().AddCommand(name, help);
  command.Add("backbone", &options_.backbone, "The backbone, as a run writes it")
      .ValueName("backbone.safetensors")
      .Required();
  command.Add("output", &options_.output, "The file to write").ValueName(output).Required();
  command.AddFlag("--force", &options_.force, "Replace the file if it exists");
  return command;
}

absl::StatusOr<int> ExportCommands::Run() {
  ASSIGN_OR_RETURN(const std::string text, onnx_.given() ? ExportOnnx(options_) : ExportTorch(options_));
  RETURN_IF_ERROR(PrintText(text));
  return 0;
}

}  // namespace arcshard::cli
