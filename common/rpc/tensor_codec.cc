#include "common/rpc/tensor_codec.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/bfloat16.h"
#include "common/base/bfloat16_arrays.h"

namespace arcshard {

static_assert(std::endian::native == std::endian::little, "tensors travel in little endian as they lie in memory");

void EncodePiece(WireType type, absl::Span<const int64_t> shape, absl::Span<const float> data, int64_t piece,
                 v1::Tensor* out) {
  if (type == WireType::kFloat32) return EncodePiece<float>(shape, data, piece, out);
  constexpr int64_t kMostValues = kMaxPieceBytes / static_cast<int64_t>(sizeof(Bfloat16));
  assert(piece >= 0 && piece < NumPieces(static_cast<int64_t>(data.size() * sizeof(Bfloat16))));
  const absl::Span<const float> values = data.subspan(static_cast<size_t>(piece * kMostValues), kMostValues);
  out->set_dtype(DTypeOf(type));
  out->mutable_shape()->Add(shape.begin(), shape.end());
  out->set_offset(static_cast<uint64_t>(piece * kMaxPieceBytes));
  out->mutable_data()->resize(values.size() * sizeof(Bfloat16));
  NarrowToBytes(values, out->mutable_data()->data());
}

TensorReceiver::TensorReceiver(const char* name, v1::DType dtype, std::vector<int64_t> shape, char* data, size_t size)
    : name_(name), dtype_(dtype), shape_(std::move(shape)), data_(data), size_(size) {}

absl::Status TensorReceiver::Add(const v1::Tensor& piece) {
  if (piece.dtype() != dtype_) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, " has dtype ", v1::DType_Name(piece.dtype()), ", expected ", v1::DType_Name(dtype_)));
  }
  if (!std::equal(piece.shape().begin(), piece.shape().end(), shape_.begin(), shape_.end())) {
    return absl::InvalidArgumentError(absl::StrCat(name_, " has shape [", absl::StrJoin(piece.shape(), ", "),
                                                   "], expected [", absl::StrJoin(shape_, ", "), "]"));
  }
  const std::string& bytes = piece.data();
  if (bytes.size() > static_cast<size_t>(kMaxPieceBytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, " has a piece of ", bytes.size(), " bytes; at most ", kMaxPieceBytes));
  }
  if (piece.offset() != received_) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, " has a piece at byte ", piece.offset(), ", expected one at ", received_));
  }
  if (bytes.size() > size_ - received_ || (bytes.empty() && size_ != 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, " has a piece of ", bytes.size(), " bytes at byte ", received_, " of ", size_));
  }
  if (dtype_ == v1::DTYPE_BFLOAT16 && bytes.size() % sizeof(Bfloat16) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, " has a piece of ", bytes.size(), " bytes, which ends within a bfloat16"));
  }
  Store(bytes);
  started_ = true;
  return absl::OkStatus();
}

void TensorReceiver::Store(const std::string& bytes) {
  if (dtype_ == v1::DTYPE_BFLOAT16) {
    const size_t before = received_ / sizeof(Bfloat16), values = bytes.size() / sizeof(Bfloat16);
    WidenFromBytes(bytes.data(), {reinterpret_cast<float*>(data_) + before, values});
  } else if (!bytes.empty()) {
    std::memcpy(data_ + received_, bytes.data(), bytes.size());
  }
  received_ += bytes.size();
}

}  // namespace arcshard
