#include "worker/backbone/iresnet.h"

#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "c10/core/GradMode.h"
#include "common/base/status_macros.h"

namespace arcshard::worker {
namespace {

constexpr int64_t kReduction = 16;  // four layers of stride 2

const std::map<std::string, std::vector<int>>& Depths() {
  static const auto* const depths = new std::map<std::string, std::vector<int>>{{"iresnet18", {2, 2, 2, 2}},
                                                                                {"iresnet34", {3, 4, 6, 3}},
                                                                                {"iresnet50", {3, 4, 14, 3}},
                                                                                {"iresnet100", {3, 13, 30, 3}},
                                                                                {"iresnet200", {6, 26, 60, 6}}};
  return *depths;
}

absl::Status CheckRange(absl::string_view option, int64_t value, int64_t low, int64_t high) {
  if (low <= value && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(option, " is ", value, "; it must be from ", low, " to ", high));
}

absl::Status CheckOptions(const BackboneOptions& options) {
  if (!Depths().contains(options.name)) {
    const std::string known = absl::StrJoin(Depths(), ", ", [](std::string* out, const auto& e) { *out += e.first; });
    return absl::InvalidArgumentError(
        absl::StrCat("there is no backbone named \"", options.name, "\"; the known ones are ", known));
  }
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
  return absl::OkStatus();
}

int64_t FlatSize(const BackboneOptions& options) {
  const int64_t side = options.image_size / kReduction;
  return 8 * options.width * side * side;
}

}  // namespace

IResNet::Block::Block(ModelState* state, const std::string& prefix, int64_t in_channels, int64_t channels,
                      int64_t stride)
    : bn1_(state, prefix + ".bn1", in_channels),
      conv1_(state, prefix + ".conv1", in_channels, channels, 3, 1),
      bn2_(state, prefix + ".bn2", channels),
      prelu_(state, prefix + ".prelu", channels),
      conv2_(state, prefix + ".conv2", channels, channels, 3, stride),
      bn3_(state, prefix + ".bn3", channels) {
  if (stride != 1 || in_channels != channels) {
    // Two statements: the convolution's tensors are registered first.
    Conv2d conv(state, prefix + ".downsample.0", in_channels, channels, 1, stride);
    downsample_.emplace(Downsample{std::move(conv), BatchNorm(state, prefix + ".downsample.1", channels)});
  }
}

at::Tensor IResNet::Block::Forward(const at::Tensor& x, const ForwardContext& context) const {
  at::Tensor y = conv1_.Forward(bn1_.Forward(x, context));
  y = prelu_.Forward(bn2_.Forward(y, context));
  y = bn3_.Forward(conv2_.Forward(y), context);
  return y.add_(downsample_ ? downsample_->bn.Forward(downsample_->conv.Forward(x), context) : x);
}

absl::StatusOr<std::unique_ptr<IResNet>> IResNet::Create(const BackboneOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  return std::unique_ptr<IResNet>(new IResNet(options, Depths().at(options.name)));
}

IResNet::IResNet(const BackboneOptions& options, const std::vector<int>& blocks_per_layer)
    : options_(options),
      state_(options.seed),
      conv1_(&state_, "conv1", 3, options.width, 3, 1),
      bn1_(&state_, "bn1", options.width),
      prelu_(&state_, "prelu", options.width),
      blocks_(MakeBlocks(&state_, options.width, blocks_per_layer)),
      bn2_(&state_, "bn2", 8 * options.width),
      dropout_(options.seed, options.dropout),
      fc_(&state_, "fc", FlatSize(options), options.embedding_size),
      features_(&state_, "features", options.embedding_size, {.trainable_weight = false}) {}

std::vector<IResNet::Block> IResNet::MakeBlocks(ModelState* state, int64_t width,
                                                const std::vector<int>& blocks_per_layer) {
  std::vector<Block> blocks;
  int64_t in_channels = width;
  for (size_t layer = 0; layer < blocks_per_layer.size(); ++layer) {
    const int64_t channels = width << layer;
    for (int i = 0; i < blocks_per_layer[layer]; ++i) {
      const int64_t stride = i == 0 ? 2 : 1;
      blocks.emplace_back(state, absl::StrCat("layer", layer + 1, ".", i), in_channels, channels, stride);
      in_channels = channels;
    }
  }
  return blocks;
}

absl::StatusOr<at::Tensor> IResNet::Forward(const at::Tensor& images, const ForwardContext& context) {
  const int64_t side = options_.image_size;
  if (images.dim() != 4 || images.size(1) != 3 || images.size(2) != side || images.size(3) != side ||
      images.scalar_type() != at::kFloat) {
    return absl::InvalidArgumentError(absl::StrCat(options_.name, " takes float32 images of shape B×3×", side, "×",
                                                   side, ", not ", c10::toString(images.scalar_type()), " of shape ",
                                                   absl::StrJoin(images.sizes(), "×")));
  }
  if (context.training && images.size(0) < 2) {
    return absl::InvalidArgumentError(absl::StrCat("step ", context.step, ", micro-batch ", context.micro_batch,
                                                   ": it has ", images.size(0),
                                                   " samples; BatchNorm needs at least 2 to train"));
  }
  c10::AutoGradMode graph(context.training);
  at::Tensor x = images.contiguous(at::MemoryFormat::ChannelsLast);
  x = prelu_.Forward(bn1_.Forward(conv1_.Forward(x), context));
  for (const Block& block : blocks_) x = block.Forward(x, context);
  x = bn2_.Forward(x, context).flatten(1);
  return features_.Forward(fc_.Forward(dropout_.Forward(x, context)), context);
}

}  // namespace arcshard::worker
