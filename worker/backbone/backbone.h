#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/statusor.h"
#include "worker/backbone/layers/forward_context.h"
#include "worker/backbone/layers/named_tensor.h"
#include "worker/backbone/layers/running_statistics.h"

namespace arcshard::worker {

struct BackboneOptions {
  std::string name = "iresnet50";  // iresnet18 | 34 | 50 | 100 | 200, faceresnet18 | 34 | 50 | 100, mobilefacenet
  int64_t width = 64;              // by which all numbers of channels count (residual_net.h, mobile_face_net.h)
  int64_t image_size = 112;        // S, pixels
  int64_t embedding_size = 512;    // D
  double dropout = 0.0;            // probability, before the last linear layer; mobilefacenet has none
  uint64_t seed = 1;               // of first weights and of dropout

  // Of convolutions and activations: float32, or bfloat16 as PyTorch's autocast does it. Weights, their gradients,
  // statistics and the last layers are float32 either way.
  at::ScalarType compute = at::kFloat;

  // Layers ("layer1", "layer2.0") and parameters ("conv1.weight") that are not trained. BatchNorm layers among them go
  // on normalising by the micro-batch in training, and their running statistics go on too: PyTorch's
  // requires_grad = False, not its eval().
  std::vector<std::string> freeze = {};

  bool shapes_only = false;  // for a look at state_dict(): its tensors have no memory, and Forward is not called
};

// A network that turns images into embeddings. Its state is a list of named tensors; the training loop moves the
// trainable ones (optimizer.h) and commits the running averages, once per step. Not thread-safe, but for Forward
// outside training, which several threads may call at once.
class Backbone {
 public:
  virtual ~Backbone() = default;

  // images: B×3×S×S float32 on the CPU -> embeddings: B×D float32 on the backbone's device (device_move.h). In training
  // with the graph for autograd (backward adds to the parameters' gradients; with all of them frozen there is no graph)
  // and with a deposit of the batch statistics in statistics(); otherwise without both. InvalidArgument: images of
  // another shape or dtype; a single sample in training, which has no variance.
  virtual absl::StatusOr<at::Tensor> Forward(const at::Tensor& images, const ForwardContext& context) = 0;

  // The trainable parameters, float32, in the order of PyTorch's named_parameters(); without the frozen ones.
  virtual const std::vector<NamedTensor>& parameters() const = 0;

  // All tensors under the names and in the order of PyTorch's state_dict(): parameters, frozen weights, running
  // averages (float32) and num_batches_tracked (int64, counts committed steps).
  virtual const std::vector<NamedTensor>& state_dict() const = 0;

  virtual RunningStatistics& statistics() = 0;
  virtual const BackboneOptions& options() const = 0;
};

// InvalidArgument: an option out of range or a layer to freeze that is not there, by name and with what is allowed.
absl::StatusOr<std::unique_ptr<Backbone>> CreateBackbone(const BackboneOptions& options);

}  // namespace arcshard::worker
