#include "cli/insightface/match_backbone.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard::cli {
namespace {

constexpr const char* kNetworks[] = {"iresnet18",    "iresnet34",    "iresnet50",    "iresnet100",    "iresnet200",
                                     "faceresnet18", "faceresnet34", "faceresnet50", "faceresnet100", "mobilefacenet"};

// A dimension of a tensor; 0: there is no such tensor or dimension.
int64_t Dimension(const TensorShapes& shapes, const char* name, size_t dimension) {
  const auto found = shapes.find(name);
  return found != shapes.end() && dimension < found->second.size() ? found->second[dimension] : 0;
}

// Width, image size and embedding size that a network of this name would have with these tensors.
worker::BackboneOptions OptionsOf(const std::string& name, const TensorShapes& shapes) {
  worker::BackboneOptions options;
  options.name = name;
  options.shapes_only = true;
  if (name == "mobilefacenet") {
    options.width = Dimension(shapes, "layers.0.layers.0.weight", 0) / 2;
    options.image_size = 16 * Dimension(shapes, "features.layers.0.layers.0.weight", 2);
    options.embedding_size = Dimension(shapes, "features.layers.2.weight", 0);
    return options;
  }
  options.width = Dimension(shapes, "conv1.weight", 0);
  const int64_t pixels =
      options.width > 0 ? Dimension(shapes, "fc.weight", 1) / (8 * options.width) : 0;  // behind the last stage
  options.image_size = 16 * static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(pixels))));
  options.embedding_size = Dimension(shapes, "fc.weight", 0);
  return options;
}

bool IsOf(const worker::Backbone& backbone, const TensorShapes& shapes) {
  if (backbone.state_dict().size() != shapes.size()) return false;
  for (const worker::NamedTensor& named : backbone.state_dict()) {
    const auto found = shapes.find(named.name);
    if (found == shapes.end() || found->second != named.tensor.sizes().vec()) return false;
  }
  return true;
}

}  // namespace

std::optional<worker::BackboneOptions> MatchBackbone(const TensorShapes& state_dict) {
  for (const char* name : kNetworks) {
    const worker::BackboneOptions options = OptionsOf(name, state_dict);
    const absl::StatusOr<std::unique_ptr<worker::Backbone>> backbone = worker::CreateBackbone(options);
    if (backbone.ok() && IsOf(**backbone, state_dict)) return options;
  }
  return std::nullopt;
}

std::string ForeignPart(const TensorShapes& state_dict) {
  constexpr int kMostParts = 4;
  if (state_dict.empty() || MatchBackbone(state_dict).has_value()) return "";
  // In the order of the map, what the first and the last name share, all others share too.
  const std::string &first = state_dict.begin()->first, &last = state_dict.rbegin()->first;
  const auto differ = std::mismatch(first.begin(), first.end(), last.begin(), last.end()).first;
  const absl::string_view shared(first.data(), static_cast<size_t>(differ - first.begin()));
  size_t dot = shared.find('.');
  for (int parts = 0; parts < kMostParts && dot != absl::string_view::npos; ++parts, dot = shared.find('.', dot + 1)) {
    TensorShapes without;
    for (const auto& [name, shape] : state_dict) without[name.substr(dot + 1)] = shape;
    if (MatchBackbone(without).has_value()) return std::string(shared.substr(0, dot + 1));
  }
  return "";
}

}  // namespace arcshard::cli
