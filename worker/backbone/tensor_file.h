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

// Tensors of a model between memory and safetensors files. They are float32, or int64 (counters).
namespace arcshard::worker {

TensorSpec SpecOf(const NamedTensor& named);

// Of a contiguous tensor on the CPU, which must outlive them.
absl::Span<const std::byte> BytesOf(const at::Tensor& tensor);

// "F32 of shape [512, 16]"
std::string DescribeTensor(TensorDtype dtype, const std::vector<int64_t>& shape);

// Replaces the values of `tensors`, wherever those lie, by the file's of the same names; other tensors of the file are
// not looked at. All are read before one is replaced: an error leaves them as they were. InvalidArgument: one is
// missing in the file, or of another dtype or shape there; says which, and what differs. Else as SafetensorsFile.
absl::Status ReadTensors(const SafetensorsFile& file, absl::Span<const NamedTensor> tensors);

}  // namespace arcshard::worker
