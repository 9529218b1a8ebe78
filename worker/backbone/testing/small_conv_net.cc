#include "worker/backbone/testing/small_conv_net.h"

namespace arcshard::worker {

SmallConvNet::SmallConvNet(const BackboneOptions& options)
    : Network(options, FirstWeights::kSmallNormal),
      conv1_(state(), "conv1", 3, options.width, {.stride = 2}),
      bn1_(state(), "bn1", options.width),
      prelu1_(state(), "prelu1", options.width),
      conv2_(state(), "conv2", options.width, options.width, {.stride = 2}),
      bn2_(state(), "bn2", options.width),
      prelu2_(state(), "prelu2", options.width),
      dropout_(options.seed, options.dropout),
      fc_(state(), "fc", options.width * (options.image_size / 4) * (options.image_size / 4), options.embedding_size) {}

at::Tensor SmallConvNet::Embed(at::Tensor x, const ForwardContext& context) {
  x = prelu1_.Forward(bn1_.Forward(conv1_.Forward(x), context));
  x = prelu2_.Forward(bn2_.Forward(conv2_.Forward(x), context));
  return fc_.Forward(dropout_.Forward(x.flatten(1).to(at::kFloat), context));
}

}  // namespace arcshard::worker
