#pragma once

#include <optional>
#include <string>
#include <vector>

#include "worker/backbone/layers/layers.h"
#include "worker/backbone/networks/network.h"

namespace arcshard::worker {

// MobileFaceNet (Chen et al., 2018) as InsightFace's arcface_torch defines it (get_mbf: blocks 1, 4, 6, 2, scale 2),
// with the same tensor names, so that its checkpoints can be loaded. With w = width (64 in the published network) and S
// = image_size, a multiple of 16:
//
//     conv3x3 stride 2 (3 -> 2w); grouped conv3x3 (w groups of 2)                   layers.0, layers.1
//     bottleneck stride 2 (2w, inside 2w); 4 residual ones                          layers.2, layers.3
//     bottleneck stride 2 (-> 4w, inside 4w); 6 residual ones (inside 4w)           layers.4, layers.5
//     bottleneck stride 2 (4w, inside 8w); 2 residual ones (inside 4w)              layers.6, layers.7
//     conv1x1 (4w -> 8w)                                                            conv_sep
//     depthwise conv of the whole S/16×S/16, BN, linear (8w -> D, no bias), BN      features
//
// BN and PReLU follow each convolution above, but only BN follows the last one of a bottleneck. A bottleneck is conv1x1
// to the inner width, depthwise conv3x3 with the stride, conv1x1. BN's eps is 1e-5. As in InsightFace, `layers` run in
// the compute type and the rest in float32. cli/export/export_onnx.cc has the same layers for ONNX.
class MobileFaceNet final : public Network {
 public:
  // CreateBackbone has checked `options`.
  explicit MobileFaceNet(const BackboneOptions& options);

 private:
  // A convolution, BN and, unless `linear`, PReLU.
  class ConvBlock {
   public:
    ConvBlock(ModelState* state, const std::string& prefix, int64_t in_channels, int64_t channels,
              const Conv2dOptions& options, bool linear = false);
    at::Tensor Forward(const at::Tensor& x, const ForwardContext& context) const;

   private:
    Conv2d conv_;
    BatchNorm bn_;
    std::optional<PRelu> prelu_;
  };

  struct BottleneckShape {
    int64_t in_channels, inner_channels, channels, stride;
  };
  class Bottleneck {
   public:
    // It adds its input to its output if the stride is 1.
    Bottleneck(ModelState* state, const std::string& prefix, const BottleneckShape& shape);
    at::Tensor Forward(const at::Tensor& x, const ForwardContext& context) const;

   private:
    bool residual_;
    ConvBlock expand_, depthwise_, project_;
  };

  static std::vector<Bottleneck> MakeBottlenecks(ModelState* state, int64_t width);
  at::Tensor Embed(at::Tensor images, const ForwardContext& context) override;

  // In the order of their tensors in a checkpoint.
  ConvBlock stem_, grouped_;
  std::vector<Bottleneck> bottlenecks_;
  ConvBlock conv_sep_, whole_;
  Linear linear_;
  BatchNorm bn_;
};

}  // namespace arcshard::worker
