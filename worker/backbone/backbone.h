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
  std::string name = "iresnet50";  // iresnet18 | 34 | 50 | 100 | 200, faceresnet18 | 34 | 50 | 100, mobilefacenet,
                                   // none (no_network.h)
  int64_t width = 64;              // unit of all numbers of channels (residual_net.h, mobile_face_net.h)
  int64_t image_size = 112;        // S, pixels
  int64_t embedding_size = 512;    // D
  double dropout = 0.0;            // probability, before the last linear layer; not for mobilefacenet
  uint64_t seed = 1;               // for first weights and dropout

  // The type of convolutions and activations: float32, or bfloat16 as with PyTorch's autocast. Weights, their
  // gradients, statistics and the last layers are always float32.
  at::ScalarType compute = at::kFloat;

  // Layers ("layer1", "layer2.0") and parameters ("conv1.weight") that are not trained. Frozen BatchNorm layers still
  // normalise by the micro-batch in training and update their running statistics: freezing is PyTorch's
  // requires_grad = False, not its eval().
  std::vector<std::string> freeze = {};

  bool shapes_only = false;  // the tensors of state_dict() have no memory; Forward must not be called
};

// A network that computes embeddings of images. Its state is a list of named tensors; once per step the training loop
// updates the trainable ones (optimizer.h) and commits the running averages. Not thread-safe, except that several
// threads may call Forward at once outside of training.
class Backbone {
 public:
  virtual ~Backbone() = default;

  // images: B×3×S×S float32 on the CPU -> embeddings: B×D float32 on the backbone's device (device_move.h). In training
  // the result has a graph for autograd, whose backward pass adds to the parameters' gradients (no graph if all of them
  // are frozen), and the batch statistics are deposited in statistics(). Otherwise neither happens. InvalidArgument:
  // the images have another shape or dtype, or there is a single sample in training, which has no variance.
  virtual absl::StatusOr<at::Tensor> Forward(const at::Tensor& images, const ForwardContext& context) = 0;

  // The trainable parameters, float32, without the frozen ones, in the order of PyTorch's named_parameters().
  virtual const std::vector<NamedTensor>& parameters() const = 0;

  // All tensors under the names and in the order of PyTorch's state_dict(): parameters, frozen weights, running
  // averages (float32) and num_batches_tracked (int64, the number of committed steps).
  virtual const std::vector<NamedTensor>& state_dict() const = 0;

  virtual RunningStatistics& statistics() = 0;
  virtual const BackboneOptions& options() const = 0;
};

// InvalidArgument: an option is out of range, or a layer to freeze does not exist. The message names it and says what
// is allowed.
absl::StatusOr<std::unique_ptr<Backbone>> CreateBackbone(const BackboneOptions& options);

}  // namespace arcshard::worker
