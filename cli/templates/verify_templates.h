#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/command/command.h"

namespace arcshard::cli {

struct VerifyTemplatesOptions {
  std::string embeddings;  // safetensors, as `arcshard embed` writes it
  std::string templates;   // the list of faces
  std::string pairs;       // 1:1; empty: none
  std::string gallery;     // 1:N; empty: none
  std::string probes;
  std::string scores;         // weights of faces; empty: all 1
  bool unit = false;          // scale each embedding to norm 1 first
  bool skip_missing = false;  // leave out faces without an embedding
  bool json = false;
};

// Evaluates embeddings by an IJB protocol, and returns the result as text: TAR at FAR 1e-6 to 1e-1 over the pairs of
// templates (1:1), and the rates of ranks 1, 5 and 10 and TPIR at FPIR 0.01 and 0.1 of probes against the gallery
// (1:N). Errors name the file, and the line of a list.
absl::StatusOr<std::string> VerifyTemplates(const VerifyTemplatesOptions& options);

// `arcshard verify-templates`.
class VerifyTemplatesCommand : public Command {
 public:
  explicit VerifyTemplatesCommand(CommandLine program);

  absl::Status Check() const override;
  absl::StatusOr<int> Run() override;

 private:
  VerifyTemplatesOptions options_;
};

}  // namespace arcshard::cli
