#pragma once

#include <optional>
#include <string>
#include <vector>

#include "worker/backbone/layers/layers.h"
#include "worker/backbone/networks/network.h"

namespace arcshard::worker {

// In what the residual networks differ.
struct ResidualDefinition {
  std::vector<int> blocks;  // of each of the four stages
  double bn_eps = 1e-5;
  bool slope_per_channel = true;  // PReLU: or one slope per layer
  FirstWeights first_weights = FirstWeights::kSmallNormal;
  bool embedding_bn = true;  // BN over D behind the linear layer, its weight frozen at 1 ("features")
};

// iresnet18, 34, 50, 100, 200: the improved residual network of ArcFace (Deng et al., CVPR 2019) as InsightFace's
// arcface_torch defines it, so that its checkpoints fit. faceresnet18, 34, 50, 100: the seed chapter's FaceResNet.
// None: another name.
std::optional<ResidualDefinition> FindResidualDefinition(const std::string& name);
std::vector<std::string> ResidualNames();

// With w = width and S = image_size, a multiple of 16, and under the names of InsightFace's state_dict:
//
//     conv3x3 (3 -> w), BN, PReLU                                                   conv1, bn1, prelu
//     blocks of w, 2w, 4w, 8w channels; the first block of each halves the image    layer1 .. layer4
//     BN, flatten, dropout, linear (8w·(S/16)² -> D), [BN over D]                   bn2, fc, features
//
// A block is BN, conv3x3, BN, PReLU, conv3x3 (with the stride), BN, plus x, or plus BN(conv1x1(x)) where the shape
// changes. The last line runs in float32 whatever the compute type is.
class ResidualNet final : public Network {
 public:
  // `options` were checked.
  ResidualNet(const BackboneOptions& options, const ResidualDefinition& definition);

 private:
  class Block {
   public:
    Block(ModelState* state, const ResidualDefinition& definition, const std::string& prefix, int64_t in_channels,
          int64_t channels, int64_t stride);
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

  at::Tensor Embed(at::Tensor images, const ForwardContext& context) override;
  static std::vector<Block> MakeBlocks(ModelState* state, const ResidualDefinition& definition, int64_t width);

  // In the order of their names in a checkpoint.
  Conv2d conv1_;
  BatchNorm bn1_;
  PRelu prelu_;
  std::vector<Block> blocks_;
  BatchNorm bn2_;
  Dropout dropout_;
  Linear fc_;
  std::optional<BatchNorm> features_;
};

}  // namespace arcshard::worker
