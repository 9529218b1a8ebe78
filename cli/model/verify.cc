#include "cli/model/verify.h"

#include <memory>

#include "absl/strings/str_format.h"
#include "cli/display/console.h"
#include "common/base/status_macros.h"
#include "common/text/printable_text.h"
#include "worker/backbone/backbone_file.h"
#include "worker/inference/evaluation.h"

namespace arcshard::cli {

absl::Status VerifyBackbone(const VerifyOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::Backbone> backbone, worker::OpenBackbone(options.backbone));
  ASSIGN_OR_RETURN(const auto sets, worker::LoadVerificationSets(options.sets));
  const worker::EmbedOptions embed = options.forward.ToEmbedOptions();
  for (const auto& set : sets) {
    ASSIGN_OR_RETURN(const worker::VerificationResult result, worker::VerifySet(backbone.get(), *set, embed));
    const VerificationReport report = worker::ReportOf(*set, result);
    RETURN_IF_ERROR(PrintText(absl::StrFormat("%s: %s\n  %s\n", PrintableLine(report.name), DescribeFolds(report),
                                              DescribeAllPairs(report))));
  }
  return absl::OkStatus();
}

VerifyCommand::VerifyCommand(CommandLine program)
    : Command(program.AddCommand("verify", "Measure a trained backbone on verification sets")) {
  line()
      .Add("backbone", &options_.backbone, "The backbone, as a run writes it")
      .ValueName("backbone.safetensors")
      .Required();
  line()
      .Add("sets", &options_.sets, "InsightFace's .bin files or PLSC's lists of pairs")
      .ValueName("set.bin")
      .Required();
  options_.forward.AddTo(&line());
}

absl::StatusOr<int> VerifyCommand::Run() {
  RETURN_IF_ERROR(VerifyBackbone(options_));
  return 0;
}

}  // namespace arcshard::cli
