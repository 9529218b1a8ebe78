#pragma once

#include "worker/backbone/layers/layers.h"
#include "worker/backbone/networks/network.h"

namespace arcshard::worker {

// A network for tests: two conv-BN-PReLU blocks (3 -> width -> width channels, stride 2) and a linear layer. It has BN
// and dropout, which make a backbone hard to distribute, and trains in milliseconds. `options` are those of
// CreateBackbone, unchecked; image_size must be a multiple of 4; name and freeze are ignored.
class SmallConvNet final : public Network {
 public:
  explicit SmallConvNet(const BackboneOptions& options);

 private:
  at::Tensor Embed(at::Tensor images, const ForwardContext& context) override;

  Conv2d conv1_;
  BatchNorm bn1_;
  PRelu prelu1_;
  Conv2d conv2_;
  BatchNorm bn2_;
  PRelu prelu2_;
  Dropout dropout_;
  Linear fc_;
};

}  // namespace arcshard::worker
