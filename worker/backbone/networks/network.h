#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/layers/model_state.h"

namespace arcshard::worker {

// What the architectures share: the state, the checks of an image batch, and how it goes in. A subclass builds its
// layers over state() and says how they follow each other.
class Network : public Backbone {
 public:
  absl::StatusOr<at::Tensor> Forward(const at::Tensor& images, const ForwardContext& context) final;
  const std::vector<NamedTensor>& parameters() const final { return state_.parameters(); }
  const std::vector<NamedTensor>& state_dict() const final { return state_.tensors(); }
  RunningStatistics& statistics() final { return state_.statistics(); }
  const BackboneOptions& options() const final { return options_; }

  // Takes the parameters of `layers`, as BackboneOptions::freeze describes them, from the trainable ones.
  // InvalidArgument: a name that no trainable parameter has or lies under; says the nearest.
  absl::Status Freeze(const std::vector<std::string>& layers);

 protected:
  Network(const BackboneOptions& options, FirstWeights first_weights);
  ModelState* state() { return &state_; }

  // images: B×3×S×S in the compute type, channels-last, in which convolutions are fastest -> B×D float32.
  virtual at::Tensor Embed(at::Tensor images, const ForwardContext& context) = 0;

 private:
  const BackboneOptions options_;
  ModelState state_;
};

}  // namespace arcshard::worker
