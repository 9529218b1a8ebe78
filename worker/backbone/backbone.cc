#include "worker/backbone/backbone.h"

#include "worker/backbone/iresnet.h"

namespace arcshard::worker {

absl::StatusOr<std::unique_ptr<Backbone>> CreateBackbone(const BackboneOptions& options) {
  return IResNet::Create(options);
}

}  // namespace arcshard::worker
