#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/layers/model_state.h"

namespace arcshard::worker {

// The common part of all architectures: the state, and the checks and the conversion of an image batch. A subclass
// builds its layers over state() and calls them in Embed.
class Network : public Backbone {
 public:
  absl::StatusOr<at::Tensor> Forward(const at::Tensor& images, const ForwardContext& context) final;
  const std::vector<NamedTensor>& parameters() const final { return state_.parameters(); }
  const std::vector<NamedTensor>& state_dict() const final { return state_.tensors(); }
  RunningStatistics& statistics() final { return state_.statistics(); }
  const BackboneOptions& options() const final { return options_; }

  // Makes the parameters of `layers`, as BackboneOptions::freeze describes them, no longer trainable. InvalidArgument:
  // no trainable parameter has one of the names or lies in a layer of that name; the message says the nearest name.
  absl::Status Freeze(const std::vector<std::string>& layers);

 protected:
  Network(const BackboneOptions& options, FirstWeights first_weights);
  ModelState* state() { return &state_; }

  // images: B×3×S×S in the compute type and in channels-last layout, which is fastest -> B×D float32.
  virtual at::Tensor Embed(at::Tensor images, const ForwardContext& context) = 0;

 private:
  const BackboneOptions options_;
  ModelState state_;
};

}  // namespace arcshard::worker
