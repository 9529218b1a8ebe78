#include "worker/backbone/backbone.h"

#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "worker/backbone/networks/mobile_face_net.h"
#include "worker/backbone/networks/network.h"
#include "worker/backbone/networks/no_network.h"
#include "worker/backbone/networks/residual_net.h"

namespace arcshard::worker {
namespace {

constexpr char kMobileFaceNet[] = "mobilefacenet";
constexpr char kNone[] = "none";
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
  if ((options.name == kMobileFaceNet || options.name == kNone) && options.dropout > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the backbone's dropout is ", options.dropout, "; ", options.name, " has no dropout layer"));
  }
  const int64_t values = 3 * options.image_size * options.image_size;
  if (options.name == kNone && options.embedding_size > values) {
    return absl::InvalidArgumentError(absl::StrCat("the embedding size is ", options.embedding_size,
                                                   "; without a network it can be at most ", values,
                                                   ", the values of an image of ", options.image_size, " pixels"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Network>> Build(const BackboneOptions& options) {
  const std::optional<ResidualDefinition> residual = FindResidualDefinition(options.name);
  if (!residual && options.name != kMobileFaceNet && options.name != kNone) {
    return absl::InvalidArgumentError(absl::StrCat("there is no backbone named \"", options.name,
                                                   "\"; the known ones are ", absl::StrJoin(ResidualNames(), ", "),
                                                   ", ", kMobileFaceNet, " and ", kNone));
  }
  RETURN_IF_ERROR(CheckOptions(options));
  if (residual) return std::make_unique<ResidualNet>(options, *residual);
  if (options.name == kNone) return std::make_unique<NoNetwork>(options);
  return std::make_unique<MobileFaceNet>(options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Backbone>> CreateBackbone(const BackboneOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<Network> network, Build(options));
  RETURN_IF_ERROR(network->Freeze(options.freeze));
  return network;
}

}  // namespace arcshard::worker
