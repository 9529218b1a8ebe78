#pragma once

#include "cli/model/forward_options.h"
#include "common/base/this_process.h"
#include "worker/inference/embedding.h"

namespace arcshard::cli {

inline worker::EmbedOptions ToEmbedOptions(const ForwardOptions& forward) {
  return {.normalization = {static_cast<float>(forward.pixel_mean), static_cast<float>(forward.pixel_std)},
          .batch_size = forward.batch,
          .threads = forward.threads > 0 ? forward.threads : UsableCores()};
}

}  // namespace arcshard::cli
