#pragma once

#include "worker/backbone/networks/network.h"

namespace arcshard::worker {

// No network at all: an embedding is the first D values of its image, red before green before blue. It has no state, so
// that a run with it trains and measures the head, the loss and the service alone.
class NoNetwork final : public Network {
 public:
  // CreateBackbone has checked `options`.
  explicit NoNetwork(const BackboneOptions& options);

 private:
  at::Tensor Embed(at::Tensor images, const ForwardContext& context) override;
};

}  // namespace arcshard::worker
