#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/io/safetensors.h"

// The JSON header of a safetensors file, apart from any file.
namespace arcshard::safetensors_internal {

struct Header {
  std::map<std::string, SafetensorsFile::Entry> entries;  // offsets count from the first byte after the header
  SafetensorsMetadata metadata;
};

inline constexpr uint64_t kLargestHeader = 100'000'000;  // bytes; the limit of Python's safetensors

// Product of the dimensions times the element's size. InvalidArgument: a negative dimension, or more than 2^63 - 1
// bytes.
absl::StatusOr<uint64_t> TensorBytes(TensorDtype dtype, const std::vector<int64_t>& shape);

// Checks everything that can be checked, given that `data_bytes` bytes follow the header. DataLoss otherwise.
absl::StatusOr<Header> ParseHeader(absl::string_view json, uint64_t data_bytes);

// The header with its length before it, padded so that the data begins at a multiple of 8. InvalidArgument: names or
// metadata that are not UTF-8.
absl::StatusOr<std::string> FormatHeader(const std::vector<TensorSpec>& tensors, const std::vector<uint64_t>& bytes,
                                         const SafetensorsMetadata& metadata);

}  // namespace arcshard::safetensors_internal
