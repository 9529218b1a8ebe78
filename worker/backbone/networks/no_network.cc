#include "worker/backbone/networks/no_network.h"

namespace arcshard::worker {

NoNetwork::NoNetwork(const BackboneOptions& options) : Network(options, FirstWeights::kSmallNormal) {}

at::Tensor NoNetwork::Embed(at::Tensor images, const ForwardContext&) {
  return images.flatten(1).slice(1, 0, options().embedding_size).to(at::kFloat).contiguous();
}

}  // namespace arcshard::worker
