#pragma once

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "arcshard/v1/shared.pb.h"
#include "common/protocol/wire_type.h"

// Encodes and decodes tensors on the wire: little-endian bytes with dtype and shape, in pieces
// (arcshard/v1/shared.proto, Tensor).
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

constexpr v1::DType DTypeOf(WireType type) {
  return type == WireType::kBfloat16 ? v1::DTYPE_BFLOAT16 : v1::DTYPE_FLOAT32;
}

// The number of pieces of a tensor of `bytes` bytes; at least one, so that an empty tensor is sent too.
constexpr int64_t NumPieces(int64_t bytes) { return bytes == 0 ? 1 : (bytes + kMaxPieceBytes - 1) / kMaxPieceBytes; }

// Fills `out` with piece number `piece` of the row-major tensor of `shape` at `data`. Requires 0 <= piece <
// NumPieces(size of the data).
template <typename T>
void EncodePiece(absl::Span<const int64_t> shape, absl::Span<const T> data, int64_t piece, v1::Tensor* out) {
  out->set_dtype(DTypeOf<T>());
  out->mutable_shape()->Add(shape.begin(), shape.end());
  const int64_t bytes = static_cast<int64_t>(data.size() * sizeof(T));
  const int64_t offset = piece * kMaxPieceBytes;
  assert(piece >= 0 && piece < NumPieces(bytes));
  out->set_offset(offset);
  out->set_data(reinterpret_cast<const char*>(data.data()) + offset, std::min(kMaxPieceBytes, bytes - offset));
}

// The same with floats that travel as `type`, of which each has BytesOfValue(type) bytes; they are rounded to the
// nearest.
void EncodePiece(WireType type, absl::Span<const int64_t> shape, absl::Span<const float> data, int64_t piece,
                 v1::Tensor* out);

// Encodes a tensor of at most kMaxPieceBytes, as one piece.
template <typename T>
v1::Tensor EncodeTensor(absl::Span<const int64_t> shape, absl::Span<const T> data) {
  v1::Tensor out;
  EncodePiece<T>(shape, data, 0, &out);
  return out;
}

// Assembles the pieces of one tensor in the caller's memory. The expected shape determines its size: nothing is
// allocated because of what a message says. Thread-compatible.
class TensorReceiver {
 public:
  // For a tensor of `shape` with elements T. `out` has as many elements as the shape. Errors name the tensor `name`.
  template <typename T>
  TensorReceiver(const char* name, std::vector<int64_t> shape, absl::Span<T> out)
      : TensorReceiver(name, DTypeOf<T>(), std::move(shape), reinterpret_cast<char*>(out.data()),
                       out.size() * sizeof(T)) {}
  // The same for floats that travel as `type`.
  TensorReceiver(const char* name, WireType type, std::vector<int64_t> shape, absl::Span<float> out)
      : TensorReceiver(name, DTypeOf(type), std::move(shape), reinterpret_cast<char*>(out.data()),
                       out.size() * static_cast<size_t>(BytesOfValue(type))) {}

  // InvalidArgument: dtype or shape is not the expected one, the piece does not follow the one before, is too large or
  // passes the end, or it ends within a bfloat16.
  absl::Status Add(const v1::Tensor& piece);
  bool complete() const { return started_ && received_ == size_; }

 private:
  TensorReceiver(const char* name, v1::DType dtype, std::vector<int64_t> shape, char* data, size_t size);
  void Store(const std::string& bytes);

  const char* name_;
  v1::DType dtype_;
  std::vector<int64_t> shape_;
  char* data_;
  size_t size_;  // bytes that travel; where they are bfloat16, the floats at data_ take twice as many
  size_t received_ = 0;
  bool started_ = false;  // an empty tensor is complete only after its single piece
};

// Decodes a tensor of one piece into `out`. InvalidArgument: as TensorReceiver::Add, or the tensor is incomplete.
template <typename T>
absl::Status DecodeTensor(const char* name, std::vector<int64_t> shape, const v1::Tensor& tensor, absl::Span<T> out) {
  TensorReceiver receiver(name, std::move(shape), out);
  if (absl::Status status = receiver.Add(tensor); !status.ok()) return status;
  if (receiver.complete()) return absl::OkStatus();
  return absl::InvalidArgumentError(std::string(name) + " has fewer bytes than its shape says");
}

}  // namespace arcshard
