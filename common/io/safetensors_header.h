#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/io/safetensors.h"

// The JSON header of a safetensors file, without the file.
namespace arcshard::safetensors_internal {

struct Header {
  std::map<std::string, SafetensorsFile::Entry> entries;  // offsets count from the first byte after the header
  SafetensorsMetadata metadata;
  uint64_t values = 0;  // keys and values of the JSON text that were looked at, each once
};

inline constexpr uint64_t kLargestHeader = 100'000'000;  // bytes; the limit of Python's safetensors

// Product of the dimensions times the element's size. InvalidArgument: a dimension is negative, or the product exceeds
// 2^63 - 1 bytes.
absl::StatusOr<uint64_t> TensorBytes(TensorDtype dtype, const std::vector<int64_t>& shape);

// Parses a header that `data_bytes` bytes follow, and checks it completely, in a time that grows with its length.
// DataLoss: something is wrong with it.
absl::StatusOr<Header> ParseHeader(absl::string_view json, uint64_t data_bytes);

// The header preceded by its length, padded so that the data begin at a multiple of 8. InvalidArgument: a name or the
// metadata are not UTF-8.
absl::StatusOr<std::string> FormatHeader(const std::vector<TensorSpec>& tensors, const std::vector<uint64_t>& bytes,
                                         const SafetensorsMetadata& metadata);

}  // namespace arcshard::safetensors_internal
