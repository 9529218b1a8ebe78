#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "arcshard/v1/shared.pb.h"

// Tensors on the wire: little-endian bytes with dtype and shape, in pieces (arcshard/v1/shared.proto, Tensor).
namespace arcshard {

inline constexpr int64_t kMaxPieceBytes = int64_t{1} << 20;

template <typename T>
constexpr v1::DType DTypeOf();
template <>
constexpr v1::DType DTypeOf<float>() {
  return v1::DTYPE_FLOAT32;
}
template <>
constexpr v1::DType DTypeOf<int64_t>() {
  return v1::DTYPE_INT64;
}

// How many pieces a tensor of `bytes` has; at least one, so that an empty tensor is sent too.
constexpr int64_t NumPieces(int64_t bytes) { return bytes == 0 ? 1 : (bytes + kMaxPieceBytes - 1) / kMaxPieceBytes; }

// Fills `out` with piece number `piece` of the row-major tensor of `shape` at `data`.
template <typename T>
void EncodePiece(absl::Span<const int64_t> shape, absl::Span<const T> data, int64_t piece, v1::Tensor* out) {
  out->set_dtype(DTypeOf<T>());
  out->mutable_shape()->Add(shape.begin(), shape.end());
  const int64_t bytes = static_cast<int64_t>(data.size() * sizeof(T));
  const int64_t offset = piece * kMaxPieceBytes;
  out->set_offset(offset);
  out->set_data(reinterpret_cast<const char*>(data.data()) + offset, std::min(kMaxPieceBytes, bytes - offset));
}

// A tensor of at most one piece.
template <typename T>
v1::Tensor EncodeTensor(absl::Span<const int64_t> shape, absl::Span<const T> data) {
  v1::Tensor out;
  EncodePiece<T>(shape, data, 0, &out);
  return out;
}

// Puts the pieces of one tensor together in memory of the caller, whose size the expected shape decides: nothing is
// allocated because a message says so. Thread-compatible.
class TensorReceiver {
 public:
  // For pieces of a tensor of `shape` with elements T, into `out` (as many elements as the shape has). `name` is for
  // errors.
  template <typename T>
  TensorReceiver(const char* name, std::vector<int64_t> shape, absl::Span<T> out)
      : TensorReceiver(name, DTypeOf<T>(), std::move(shape), reinterpret_cast<char*>(out.data()),
                       out.size() * sizeof(T)) {}

  // InvalidArgument: dtype or shape is not the expected one, a gap, a piece too large or past the end.
  absl::Status Add(const v1::Tensor& piece);
  bool complete() const { return started_ && received_ == size_; }

 private:
  TensorReceiver(const char* name, v1::DType dtype, std::vector<int64_t> shape, char* data, size_t size);

  const char* name_;
  v1::DType dtype_;
  std::vector<int64_t> shape_;
  char* data_;
  size_t size_;
  size_t received_ = 0;
  bool started_ = false;  // an empty tensor is complete after its one piece, not before
};

// A tensor of one piece: checks dtype, shape and size, and copies it to `out`.
template <typename T>
absl::Status DecodeTensor(const char* name, std::vector<int64_t> shape, const v1::Tensor& tensor, absl::Span<T> out) {
  TensorReceiver receiver(name, std::move(shape), out);
  if (absl::Status status = receiver.Add(tensor); !status.ok()) return status;
  if (receiver.complete()) return absl::OkStatus();
  return absl::InvalidArgumentError(std::string(name) + " has fewer bytes than its shape says");
}

}  // namespace arcshard
