#include "worker/backbone/small_conv_net.h"

#include "c10/core/GradMode.h"

namespace arcshard::worker {

SmallConvNet::SmallConvNet(const BackboneOptions& options)
    : options_(options),
      state_(options.seed),
      conv1_(&state_, "conv1", 3, options.width, 3, 2),
      bn1_(&state_, "bn1", options.width),
      prelu1_(&state_, "prelu1", options.width),
      conv2_(&state_, "conv2", options.width, options.width, 3, 2),
      bn2_(&state_, "bn2", options.width),
      prelu2_(&state_, "prelu2", options.width),
      dropout_(options.seed, options.dropout),
      fc_(&state_, "fc", options.width * (options.image_size / 4) * (options.image_size / 4), options.embedding_size) {}

absl::StatusOr<at::Tensor> SmallConvNet::Forward(const at::Tensor& images, const ForwardContext& context) {
  c10::AutoGradMode graph(context.training);
  at::Tensor x = images.contiguous(at::MemoryFormat::ChannelsLast);
  x = prelu1_.Forward(bn1_.Forward(conv1_.Forward(x), context));
  x = prelu2_.Forward(bn2_.Forward(conv2_.Forward(x), context));
  return fc_.Forward(dropout_.Forward(x.flatten(1), context));
}

}  // namespace arcshard::worker
