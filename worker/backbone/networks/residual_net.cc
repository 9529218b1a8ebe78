#include "worker/backbone/networks/residual_net.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard::worker {
namespace {

struct Named {
  const char* name;
  ResidualDefinition definition;
};

ResidualDefinition IResNet(std::vector<int> blocks) { return {.blocks = std::move(blocks)}; }

ResidualDefinition FaceResNet(std::vector<int> blocks) {
  return {.blocks = std::move(blocks),
          .bn_eps = 2e-5,
          .slope_per_channel = false,
          .first_weights = FirstWeights::kFanOut,
          .embedding_bn = false};
}

const std::vector<Named>& Definitions() {
  static const auto* const definitions =
      new std::vector<Named>{{"iresnet18", IResNet({2, 2, 2, 2})},         {"iresnet34", IResNet({3, 4, 6, 3})},
                             {"iresnet50", IResNet({3, 4, 14, 3})},        {"iresnet100", IResNet({3, 13, 30, 3})},
                             {"iresnet200", IResNet({6, 26, 60, 6})},      {"faceresnet18", FaceResNet({2, 2, 2, 2})},
                             {"faceresnet34", FaceResNet({3, 4, 6, 3})},   {"faceresnet50", FaceResNet({3, 4, 14, 3})},
                             {"faceresnet100", FaceResNet({3, 13, 30, 3})}};
  return *definitions;
}

BatchNormOptions Bn(const ResidualDefinition& definition) { return {.eps = definition.bn_eps}; }

int64_t Slopes(const ResidualDefinition& definition, int64_t channels) {
  return definition.slope_per_channel ? channels : 1;
}

int64_t FlatSize(const BackboneOptions& options) {
  const int64_t side = options.image_size / 16;
  return 8 * options.width * side * side;
}

}  // namespace

std::optional<ResidualDefinition> FindResidualDefinition(const std::string& name) {
  for (const Named& named : Definitions()) {
    if (named.name == name) return named.definition;
  }
  return std::nullopt;
}

std::vector<std::string> ResidualNames() {
  std::vector<std::string> names;
  for (const Named& named : Definitions()) names.emplace_back(named.name);
  return names;
}

ResidualNet::Block::Block(ModelState* state, const ResidualDefinition& definition, const std::string& prefix,
                          int64_t in_channels, int64_t channels, int64_t stride)
    : bn1_(state, prefix + ".bn1", in_channels, Bn(definition)),
      conv1_(state, prefix + ".conv1", in_channels, channels, {}),
      bn2_(state, prefix + ".bn2", channels, Bn(definition)),
      prelu_(state, prefix + ".prelu", Slopes(definition, channels)),
      conv2_(state, prefix + ".conv2", channels, channels, {.stride = stride}),
      bn3_(state, prefix + ".bn3", channels, Bn(definition)) {
  if (stride != 1 || in_channels != channels) {
    // These are two statements, so that the convolution's tensors are registered first.
    Conv2d conv(state, prefix + ".downsample.0", in_channels, channels, {.kernel_size = 1, .stride = stride});
    BatchNorm bn(state, prefix + ".downsample.1", channels, Bn(definition));
    downsample_.emplace(Downsample{std::move(conv), std::move(bn)});
  }
}

at::Tensor ResidualNet::Block::Forward(const at::Tensor& x, const ForwardContext& context) const {
  at::Tensor y = conv1_.Forward(bn1_.Forward(x, context));
  y = prelu_.Forward(bn2_.Forward(y, context));
  y = bn3_.Forward(conv2_.Forward(y), context);
  return y.add_(downsample_ ? downsample_->bn.Forward(downsample_->conv.Forward(x), context) : x);
}

ResidualNet::ResidualNet(const BackboneOptions& options, const ResidualDefinition& definition)
    : Network(options, definition.first_weights),
      conv1_(state(), "conv1", 3, options.width, {}),
      bn1_(state(), "bn1", options.width, Bn(definition)),
      prelu_(state(), "prelu", Slopes(definition, options.width)),
      blocks_(MakeBlocks(state(), definition, options.width)),
      bn2_(state(), "bn2", 8 * options.width, Bn(definition)),
      dropout_(options.seed, options.dropout),
      fc_(state(), "fc", FlatSize(options), options.embedding_size) {
  if (definition.embedding_bn) {
    features_.emplace(state(), "features", options.embedding_size,
                      BatchNormOptions{.eps = definition.bn_eps, .trainable_weight = false});
  }
}

std::vector<ResidualNet::Block> ResidualNet::MakeBlocks(ModelState* state, const ResidualDefinition& definition,
                                                        int64_t width) {
  std::vector<Block> blocks;
  int64_t in_channels = width;
  for (size_t layer = 0; layer < definition.blocks.size(); ++layer) {
    const int64_t channels = width << layer;
    for (int i = 0; i < definition.blocks[layer]; ++i) {
      const int64_t stride = i == 0 ? 2 : 1;
      blocks.emplace_back(state, definition, absl::StrCat("layer", layer + 1, ".", i), in_channels, channels, stride);
      in_channels = channels;
    }
  }
  return blocks;
}

at::Tensor ResidualNet::Embed(at::Tensor x, const ForwardContext& context) {
  x = prelu_.Forward(bn1_.Forward(conv1_.Forward(x), context));
  for (const Block& block : blocks_) x = block.Forward(x, context);
  x = bn2_.Forward(x, context).flatten(1).to(at::kFloat);
  x = fc_.Forward(dropout_.Forward(x, context));
  return features_ ? features_->Forward(x, context) : x;
}

}  // namespace arcshard::worker
