#include "cli/model/verify.h"

#include <memory>

#include "absl/strings/str_format.h"
#include "cli/display/console.h"
#include "cli/model/embed_options.h"
#include "common/base/status_macros.h"
#include "common/text/printable_text.h"
#include "worker/backbone/backbone_file.h"
#include "worker/inference/evaluation.h"

namespace arcshard::cli {

absl::Status VerifyBackbone(const VerifyOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::Backbone> backbone, worker::OpenBackbone(options.backbone));
  ASSIGN_OR_RETURN(const auto sets, worker::LoadVerificationSets(options.sets));
  const worker::EmbedOptions embed = ToEmbedOptions(options.forward);
  for (const auto& set : sets) {
    ASSIGN_OR_RETURN(const worker::VerificationResult result, worker::VerifySet(backbone.get(), *set, embed));
    const VerificationReport report = worker::ReportOf(*set, result);
    RETURN_IF_ERROR(PrintText(absl::StrFormat("%s: %s\n  %s\n", PrintableLine(report.name), DescribeFolds(report),
                                              DescribeAllPairs(report))));
  }
  return absl::OkStatus();
}

}  // namespace arcshard::cli
