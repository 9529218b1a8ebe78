#pragma once

#include <cassert>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "shard_server/head/arithmetic/bfloat16.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/head_options.h"

namespace arcshard::head {

// Rows of `dim` values in float32 or bfloat16, one after the other. Thread-compatible; threads may use different rows
// at the same time.
class RowStore {
 public:
  // Also allocates `slack` rows of zeros after the last row, which may be read. ResourceExhausted: no memory; the
  // message names `what`.
  absl::Status Allocate(int64_t rows, int64_t slack, int64_t dim, DataType type, absl::string_view what);

  DataType type() const { return type_; }

  // Row `first`; requires T to be the type of the store.
  template <typename T>
  T* row(int64_t first) const {
    assert(sizeof(T) == static_cast<size_t>(BytesOf(type_)));
    return reinterpret_cast<T*>(bytes_.data()) + first * dim_;
  }

  const unsigned char* bytes(int64_t first) const { return bytes_.data() + first * dim_ * BytesOf(type_); }

  void Read(int64_t first, int64_t rows, float* out) const;
  void Write(int64_t first, int64_t rows, const float* values) const;  // rounds to the nearest
  void FillWithZeros(int64_t first, int64_t rows) const;

 private:
  DataType type_ = DataType::kFloat32;
  int64_t dim_ = 0;
  Buffer<unsigned char> bytes_;
};

}  // namespace arcshard::head
