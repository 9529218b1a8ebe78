#include "worker/backbone/layers/standardize.h"

#include <tuple>

#include "ATen/ops/native_batch_norm.h"

namespace arcshard::worker {

at::Tensor Standardize(const at::Tensor& embeddings) {
  return std::get<0>(at::native_batch_norm(embeddings, /*weight=*/{}, /*bias=*/{}, /*running_mean=*/{},
                                           /*running_var=*/{}, /*training=*/true, /*momentum=*/0, /*eps=*/2e-5));
}

}  // namespace arcshard::worker
