#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/io/safetensors.h"

namespace arcshard::cli {

// The bytes of an ONNX model (IR version 7, operator set 13) that computes what the backbone in `file` computes outside
// of training:
//
//   data       batch×3×S×S float32: RGB images, (pixel - data.pixel_mean) / data.pixel_std; any batch
//   embedding  batch×D float32, as `arcshard embed` writes it without --flip and --normalize
//
// InvalidArgument: the file's metadata names no network that arcshard has, or its tensors are not that network's; the
// message names what. ResourceExhausted: the model would be larger than the 2 GiB that an ONNX file can have. Other
// errors are SafetensorsFile's.
absl::StatusOr<std::string> OnnxModelOf(const SafetensorsFile& file);

}  // namespace arcshard::cli
