#include "common/rpc/tensor_codec.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace arcshard {

static_assert(std::endian::native == std::endian::little, "tensors travel in little endian as they lie in memory");

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
  if (!bytes.empty()) std::memcpy(data_ + received_, bytes.data(), bytes.size());
  received_ += bytes.size();
  started_ = true;
  return absl::OkStatus();
}

}  // namespace arcshard
