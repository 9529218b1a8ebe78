#include "worker/backbone/networks/mobile_face_net.h"

#include "absl/strings/str_cat.h"

namespace arcshard::worker {

MobileFaceNet::ConvBlock::ConvBlock(ModelState* state, const std::string& prefix, int64_t in_channels, int64_t channels,
                                    const Conv2dOptions& options, bool linear)
    : conv_(state, prefix + ".layers.0", in_channels, channels, options), bn_(state, prefix + ".layers.1", channels) {
  if (!linear) prelu_.emplace(state, prefix + ".layers.2", channels);
}

at::Tensor MobileFaceNet::ConvBlock::Forward(const at::Tensor& x, const ForwardContext& context) const {
  const at::Tensor y = bn_.Forward(conv_.Forward(x), context);
  return prelu_ ? prelu_->Forward(y) : y;
}

MobileFaceNet::Bottleneck::Bottleneck(ModelState* state, const std::string& prefix, const BottleneckShape& shape)
    : residual_(shape.stride == 1),
      expand_(state, prefix + ".layers.0", shape.in_channels, shape.inner_channels, {.kernel_size = 1}),
      depthwise_(state, prefix + ".layers.1", shape.inner_channels, shape.inner_channels,
                 {.stride = shape.stride, .groups = shape.inner_channels}),
      project_(state, prefix + ".layers.2", shape.inner_channels, shape.channels, {.kernel_size = 1}, /*linear=*/true) {
}

at::Tensor MobileFaceNet::Bottleneck::Forward(const at::Tensor& x, const ForwardContext& context) const {
  at::Tensor y = project_.Forward(depthwise_.Forward(expand_.Forward(x, context), context), context);
  return residual_ ? y.add_(x) : y;
}

std::vector<MobileFaceNet::Bottleneck> MobileFaceNet::MakeBottlenecks(ModelState* state, int64_t width) {
  struct Stage {
    int residual_blocks;
    BottleneckShape entry;
    int64_t inner_channels;  // of the residual bottlenecks
  };
  const int64_t w = width;
  const std::vector<Stage> stages = {
      {4, {2 * w, 2 * w, 2 * w, 2}, 2 * w}, {6, {2 * w, 4 * w, 4 * w, 2}, 4 * w}, {2, {4 * w, 8 * w, 4 * w, 2}, 4 * w}};
  std::vector<Bottleneck> bottlenecks;
  int layer = 2;
  for (const Stage& stage : stages) {
    bottlenecks.emplace_back(state, absl::StrCat("layers.", layer++), stage.entry);
    const int64_t channels = stage.entry.channels;
    for (int i = 0; i < stage.residual_blocks; ++i) {
      bottlenecks.emplace_back(state, absl::StrCat("layers.", layer, ".layers.", i),
                               BottleneckShape{channels, stage.inner_channels, channels, 1});
    }
    ++layer;
  }
  return bottlenecks;
}

MobileFaceNet::MobileFaceNet(const BackboneOptions& options)
    : Network(options, FirstWeights::kFanOut),
      stem_(state(), "layers.0", 3, 2 * options.width, {.stride = 2}),
      grouped_(state(), "layers.1", 2 * options.width, 2 * options.width, {.groups = options.width}),
      bottlenecks_(MakeBottlenecks(state(), options.width)),
      conv_sep_(state(), "conv_sep", 4 * options.width, 8 * options.width, {.kernel_size = 1}),
      whole_(state(), "features.layers.0", 8 * options.width, 8 * options.width,
             {.kernel_size = options.image_size / 16, .groups = 8 * options.width, .pad = false}, /*linear=*/true),
      linear_(state(), "features.layers.2", 8 * options.width, options.embedding_size, /*bias=*/false),
      bn_(state(), "features.layers.3", options.embedding_size) {}

at::Tensor MobileFaceNet::Embed(at::Tensor x, const ForwardContext& context) {
  x = grouped_.Forward(stem_.Forward(x, context), context);
  for (const Bottleneck& bottleneck : bottlenecks_) x = bottleneck.Forward(x, context);
  x = whole_.Forward(conv_sep_.Forward(x.to(at::kFloat), context), context);
  return bn_.Forward(linear_.Forward(x.flatten(1)), context);
}

}  // namespace arcshard::worker
