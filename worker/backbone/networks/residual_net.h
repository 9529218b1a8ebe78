#pragma once

#include <optional>
#include <string>
#include <vector>

#include "worker/backbone/layers/layers.h"
#include "worker/backbone/networks/network.h"

namespace arcshard::worker {

// The differences between the residual networks.
struct ResidualDefinition {
  std::vector<int> blocks;  // the number of blocks in each of the four stages
  double bn_eps = 1e-5;
  bool slope_per_channel = true;  // PReLU; false: one slope per layer
  FirstWeights first_weights = FirstWeights::kSmallNormal;
  bool embedding_bn = true;  // BN over D after the linear layer, with its weight frozen at 1 ("features")
};

// Returns the definition of a network. iresnet18, 34, 50, 100, 200 are the improved residual networks of ArcFace (Deng
// et al., CVPR 2019) as InsightFace's arcface_torch defines them, so that its checkpoints can be loaded. faceresnet18,
// 34, 50, 100 are the seed chapter's FaceResNet. nullopt: there is no such network.
std::optional<ResidualDefinition> FindResidualDefinition(const std::string& name);
std::vector<std::string> ResidualNames();

// With w = width and S = image_size, a multiple of 16, and the names of InsightFace's state_dict on the right:
//
//     conv3x3 (3 -> w), BN, PReLU                                                   conv1, bn1, prelu
//     blocks of w, 2w, 4w, 8w channels; the first block of each halves the image    layer1 .. layer4
//     BN, flatten, dropout, linear (8w·(S/16)² -> D), [BN over D]                   bn2, fc, features
//
// A block is BN, conv3x3, BN, PReLU, conv3x3 (with the stride), BN, plus x, or plus BN(conv1x1(x)) where the shape
// changes. cli/export/export_onnx.cc has the same layers for ONNX. In the last line, everything after "flatten" runs in
// float32, whatever the compute type is.
class ResidualNet final : public Network {
 public:
  // CreateBackbone has checked `options`.
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

    // In the order of their tensors in a checkpoint.
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

  // In the order of their tensors in a checkpoint.
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
