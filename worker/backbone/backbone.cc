#include "worker/backbone/backbone.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "worker/backbone/networks/mobile_face_net.h"
#include "worker/backbone/networks/network.h"
#include "worker/backbone/networks/residual_net.h"

namespace arcshard::worker {
namespace {

constexpr char kMobileFaceNet[] = "mobilefacenet";
constexpr int64_t kReduction = 16;  // every architecture halves images four times

absl::Status CheckRange(absl::string_view option, int64_t value, int64_t low, int64_t high) {
  if (low <= value && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(option, " is ", value, "; it must be from ", low, " to ", high));
}

absl::Status CheckOptions(const BackboneOptions& options) {
  // The upper bounds keep every shape far from overflow.
  RETURN_IF_ERROR(CheckRange("the backbone's width", options.width, 1, 1024));
  RETURN_IF_ERROR(CheckRange("the image size", options.image_size, kReduction, 4096));
  if (options.image_size % kReduction != 0) {
    return absl::InvalidArgumentError(absl::StrCat("the image size is ", options.image_size, "; ", options.name,
                                                   " halves it four times, so it must be a multiple of ", kReduction));
  }
  RETURN_IF_ERROR(CheckRange("the embedding size", options.embedding_size, 1, 65536));
  if (!(options.dropout >= 0 && options.dropout < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the backbone's dropout is ", options.dropout, "; it must be at least 0 and below 1"));
  }
  if (options.name == kMobileFaceNet && options.dropout > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the backbone's dropout is ", options.dropout, "; mobilefacenet has no dropout layer"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Network>> Build(const BackboneOptions& options) {
  const std::optional<ResidualDefinition> residual = FindResidualDefinition(options.name);
  if (!residual && options.name != kMobileFaceNet) {
    return absl::InvalidArgumentError(absl::StrCat("there is no backbone named \"", options.name,
                                                   "\"; the known ones are ", absl::StrJoin(ResidualNames(), ", "),
                                                   " and ", kMobileFaceNet));
  }
  RETURN_IF_ERROR(CheckOptions(options));
  if (residual) return std::make_unique<ResidualNet>(options, *residual);
  return std::make_unique<MobileFaceNet>(options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backbone>> CreateBackbone(const BackboneOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Network> network, Build(options));
  RETURN_IF_ERROR(network->Freeze(options.freeze));
  return network;
}

}  // namespace arcshard::worker
