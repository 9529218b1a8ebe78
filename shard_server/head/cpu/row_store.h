#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "shard_server/head/bfloat16.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/head_options.h"

namespace arcshard::head {

constexpr int64_t BytesOf(DataType type) { return type == DataType::kFloat32 ? 4 : 2; }

// Rows of `dim` values, held as float32 or bfloat16, one after the other. Thread-compatible; threads may use different
// rows at once.
class RowStore {
 public:
  // `slack` rows more are there to be read beyond the last: zeros. ResourceExhausted: no memory.
  absl::Status Allocate(int64_t rows, int64_t slack, int64_t dim, DataType type, absl::string_view what);

  DataType type() const { return type_; }

  // From row `first` on, in the type held.
  template <typename T>
  T* row(int64_t first) const {
    return reinterpret_cast<T*>(bytes_.data()) + first * dim_;
  }

  const unsigned char* bytes(int64_t first) const { return bytes_.data() + first * dim_ * BytesOf(type_); }

  void Read(int64_t first, int64_t rows, float* out) const;
  void Write(int64_t first, int64_t rows, const float* values) const;  // to the nearest
  void FillWithZeros(int64_t first, int64_t rows) const;

 private:
  DataType type_ = DataType::kFloat32;
  int64_t dim_ = 0;
  Buffer<unsigned char> bytes_;
};

}  // namespace arcshard::head
