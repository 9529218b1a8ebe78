#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/layers.h"
#include "worker/backbone/model_state.h"

namespace arcshard::worker {

// The improved residual network of ArcFace (Deng et al., CVPR 2019) as InsightFace's arcface_torch defines it, under
// its tensor names, so that its checkpoints fit. With w = width and S = image_size:
//
//     conv3x3 (3 -> w), BN, PReLU
//     layer1..layer4: blocks of w, 2w, 4w, 8w channels; the first block of each halves the image
//     BN, flatten, dropout, linear (8w·(S/16)² -> D), BN over D without a trainable weight ("features")
//
// A block is BN, conv3x3, BN, PReLU, conv3x3 (with the stride), BN, plus x, or plus BN(conv1x1(x)) where the shape
// changes. BN's eps is 1e-5. Convolutions are fastest channels-last here: images are converted on entry.
class IResNet final : public Backbone {
 public:
  // InvalidArgument: an unknown name (says the known ones), an image size that 16 does not divide, or another option
  // out of range.
  static absl::StatusOr<std::unique_ptr<IResNet>> Create(const BackboneOptions& options);

  absl::StatusOr<at::Tensor> Forward(const at::Tensor& images, const ForwardContext& context) override;
  const std::vector<NamedTensor>& parameters() const override { return state_.parameters(); }
  const std::vector<NamedTensor>& state_dict() const override { return state_.tensors(); }
  RunningStatistics& statistics() override { return state_.statistics(); }
  const BackboneOptions& options() const override { return options_; }

 private:
  class Block {
   public:
    Block(ModelState* state, const std::string& prefix, int64_t in_channels, int64_t channels, int64_t stride);
    at::Tensor Forward(const at::Tensor& x, const ForwardContext& context) const;

   private:
    struct Downsample {
      Conv2d conv;
      BatchNorm bn;
    };

    // In the order of their names in a checkpoint.
    BatchNorm bn1_;
    Conv2d conv1_;
    BatchNorm bn2_;
    PRelu prelu_;
    Conv2d conv2_;
    BatchNorm bn3_;
    std::optional<Downsample> downsample_;
  };

  IResNet(const BackboneOptions& options, const std::vector<int>& blocks_per_layer);
  static std::vector<Block> MakeBlocks(ModelState* state, int64_t width, const std::vector<int>& blocks_per_layer);

  BackboneOptions options_;
  ModelState state_;
  // In the order of their names in a checkpoint.
  Conv2d conv1_;
  BatchNorm bn1_;
  PRelu prelu_;
  std::vector<Block> blocks_;
  BatchNorm bn2_;
  Dropout dropout_;
  Linear fc_;
  BatchNorm features_;
};

}  // namespace arcshard::worker
