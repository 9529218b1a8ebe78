#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/io/safetensors.h"
#include "worker/backbone/layers/named_tensor.h"

// Reads and writes tensors of a model in safetensors files. They are float32, or int64 (counters).
namespace arcshard::worker {

TensorSpec SpecOf(const NamedTensor& named);

// The bytes of a contiguous tensor on the CPU, which must outlive the span.
absl::Span<const std::byte> BytesOf(const at::Tensor& tensor);

// "F32 of shape [512, 16]"
std::string DescribeTensor(TensorDtype dtype, const std::vector<int64_t>& shape);

// Replaces the values of `tensors`, on any device, by those of the file's tensors with the same names; other tensors of
// the file are ignored. An error leaves all of them unchanged. InvalidArgument: one is missing in the file, or has
// another dtype or shape there; the message names it and the difference. Other errors are SafetensorsFile's.
absl::Status ReadTensors(const SafetensorsFile& file, absl::Span<const NamedTensor> tensors);

}  // namespace arcshard::worker
