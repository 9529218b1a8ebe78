#pragma once

#include <vector>

#include "worker/backbone/backbone.h"
#include "worker/backbone/layers.h"
#include "worker/backbone/model_state.h"

namespace arcshard::worker {

// For tests of what surrounds a backbone: two conv-BN-PReLU blocks (3 -> width -> width channels, stride 2)
// and a linear layer. It has all that makes a backbone hard to distribute and trains in milliseconds. `options` as for
// CreateBackbone, unchecked; image_size is a multiple of 4; name is not looked at.
class SmallConvNet final : public Backbone {
 public:
  explicit SmallConvNet(const BackboneOptions& options);

  absl::StatusOr<at::Tensor> Forward(const at::Tensor& images, const ForwardContext& context) override;
  const std::vector<NamedTensor>& parameters() const override { return state_.parameters(); }
  const std::vector<NamedTensor>& state_dict() const override { return state_.tensors(); }
  RunningStatistics& statistics() override { return state_.statistics(); }
  const BackboneOptions& options() const override { return options_; }

 private:
  BackboneOptions options_;
  ModelState state_;
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
