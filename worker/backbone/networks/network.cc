#include "worker/backbone/networks/network.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "c10/core/GradMode.h"
#include "common/text/nearest_name.h"
#include "worker/backbone/device_move.h"

namespace arcshard::worker {
namespace {

// Whether `name` is `layer` or lies in it. Only whole parts between dots match, so that layer3.10 does not lie in
// layer3.1.
bool LiesUnder(const std::string& name, const std::string& layer) {
  return absl::StartsWith(name, layer) && (name.size() == layer.size() || name[layer.size()] == '.');
}

// "layer1", "layer1.0", "layer1.0.bn1", "layer1.0.bn1.weight", ...
std::vector<std::string> LayersOf(const std::vector<NamedTensor>& parameters) {
  std::set<std::string> layers;
  for (const NamedTensor& parameter : parameters) {
    const std::string& name = parameter.name;
    for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
      layers.insert(name.substr(0, dot));
    }
    layers.insert(name);
  }
  return {layers.begin(), layers.end()};
}

}  // namespace

Network::Network(const BackboneOptions& options, FirstWeights first_weights)
    : options_(options),
      state_({.seed = options.seed, .first_weights = first_weights, .shapes_only = options.shapes_only}) {}

absl::Status Network::Freeze(const std::vector<std::string>& layers) {
  const std::vector<std::string> known = LayersOf(parameters());
  if (known.empty() && !layers.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("backbone.freeze names \"", layers.front(), "\", but ",
                                                   options_.name, " has nothing that is trained"));
  }
  for (const std::string& layer : layers) {
    if (std::find(known.begin(), known.end(), layer) != known.end()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "backbone.freeze names \"", layer, "\", but ", options_.name,
        " has no trainable parameter or layer of that name; the nearest one is ", NearestNames(layer, known)));
  }
  state_.Freeze([&](const std::string& name) {
    return std::any_of(layers.begin(), layers.end(), [&](const std::string& layer) { return LiesUnder(name, layer); });
  });
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> Network::Forward(const at::Tensor& images, const ForwardContext& context) {
  const int64_t side = options_.image_size;
  if (images.dim() != 4 || images.size(1) != 3 || images.size(2) != side || images.size(3) != side ||
      images.scalar_type() != at::kFloat) {
    return absl::InvalidArgumentError(absl::StrCat(options_.name, " takes float32 images of shape B×3×", side, "×",
                                                   side, ", not ", c10::toString(images.scalar_type()), " of shape ",
                                                   absl::StrJoin(images.sizes(), "×")));
  }
  if (context.training && images.size(0) < 2) {
    return absl::InvalidArgumentError(absl::StrCat("step ", context.step, ", micro-batch ", context.micro_batch,
                                                   " has ", images.size(0),
                                                   " samples; BatchNorm needs at least 2 in training"));
  }
  c10::AutoGradMode graph(context.training);
  const at::Tensor here = CopyTo(DeviceOf(*this), images);
  return Embed(here.to(options_.compute).contiguous(at::MemoryFormat::ChannelsLast), context);
}

}  // namespace arcshard::worker
