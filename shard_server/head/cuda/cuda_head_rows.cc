#include <algorithm>

#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"
#include "shard_server/head/cuda/cuda_head.h"

// How rows are read from and written to a CudaHead. Rows stored in float32 are copied directly from or to the caller's
// memory; bfloat16 goes through the buffer of a block's gradient, which is free between two passes.
namespace arcshard::head {
namespace {

constexpr int64_t kFloat = sizeof(float);

}  // namespace

absl::Status CudaHead::ReadRows(const CudaBuffer& memory, DataType type, int64_t first, MatrixView<float> out) const {
  RETURN_IF_ERROR(UseDevice());
  const std::byte* const rows = memory.as<std::byte>() + first * options().dim * BytesOf(type);
  if (type == DataType::kFloat32) {
    RETURN_IF_ERROR(stream_.Copy(out.data, rows, out.size() * kFloat));
    return stream_.Synchronize();
  }
  const int64_t chunk = block_rows_ * options().dim;
  for (int64_t begin = 0; begin < out.size(); begin += chunk) {
    const int64_t count = std::min(chunk, out.size() - begin);
    RETURN_IF_ERROR(CUDA_STATUS(Convert(count, ConstValues{rows + begin * BytesOf(type), type},
                                        Values{h_.data(), DataType::kFloat32}, stream_.get())));
    RETURN_IF_ERROR(stream_.Copy(out.data + begin, h_.data(), count * kFloat));
  }
  return stream_.Synchronize();
}

absl::Status CudaHead::WriteRows(const CudaBuffer& memory, DataType type, int64_t first, MatrixView<const float> in) {
  RETURN_IF_ERROR(UseDevice());
  std::byte* const rows = memory.as<std::byte>() + first * options().dim * BytesOf(type);
  if (type == DataType::kFloat32) {
    RETURN_IF_ERROR(stream_.Copy(rows, in.data, in.size() * kFloat));
    return stream_.Synchronize();
  }
  const int64_t chunk = block_rows_ * options().dim;
  for (int64_t begin = 0; begin < in.size(); begin += chunk) {
    const int64_t count = std::min(chunk, in.size() - begin);
    RETURN_IF_ERROR(stream_.Copy(h_.data(), in.data + begin, count * kFloat));
    RETURN_IF_ERROR(CUDA_STATUS(Convert(count, ConstValues{h_.data(), DataType::kFloat32},
                                        Values{rows + begin * BytesOf(type), type}, stream_.get())));
  }
  return stream_.Synchronize();
}

absl::Status CudaHead::DoReadWeights(int64_t first, MatrixView<float> out) const {
  return ReadRows(weights_, options().weights, first, out);
}

absl::Status CudaHead::DoReadMoment(int moment, int64_t first, MatrixView<float> out) const {
  return ReadRows(moments_[static_cast<size_t>(moment)], options().moments, first, out);
}

absl::Status CudaHead::DoWriteWeights(int64_t first, MatrixView<const float> rows) {
  RETURN_IF_ERROR(WriteRows(weights_, options().weights, first, rows));
  const int64_t offset = first * options().dim * BytesOf(options().weights);
  RETURN_IF_ERROR(CUDA_STATUS(InverseNormsOfRows(rows.rows, options().dim,
                                                 ConstValues{weights_.as<std::byte>() + offset, options().weights},
                                                 inverse_norms_.as<float>() + first, stream_.get())));
  return stream_.Synchronize();
}

absl::Status CudaHead::DoWriteMoment(int moment, int64_t first, MatrixView<const float> rows) {
  return WriteRows(moments_[static_cast<size_t>(moment)], options().moments, first, rows);
}

absl::Status CudaHead::DoReadCounts(int64_t first, absl::Span<uint32_t> out) const {
  RETURN_IF_ERROR(UseDevice());
  RETURN_IF_ERROR(
      stream_.Copy(out.data(), counts_.as<uint32_t>() + first, static_cast<int64_t>(out.size() * sizeof(uint32_t))));
  return stream_.Synchronize();
}

absl::Status CudaHead::DoWriteCounts(int64_t first, absl::Span<const uint32_t> counts) {
  RETURN_IF_ERROR(UseDevice());
  RETURN_IF_ERROR(stream_.Copy(counts_.as<uint32_t>() + first, counts.data(),
                               static_cast<int64_t>(counts.size() * sizeof(uint32_t))));
  return stream_.Synchronize();
}

// Uses a second stream: the work that the passes have queued doesn't change these rows, so the copy need not wait for
// it.
absl::Status CudaHead::DoReadHeld(RowPart part, int64_t first, absl::Span<std::byte> out) const {
  RETURN_IF_ERROR(UseDevice());
  const CudaBuffer& memory = part == RowPart::kWeights   ? weights_
                             : part == RowPart::kMoment0 ? moments_[0]
                             : part == RowPart::kMoment1 ? moments_[1]
                                                         : counts_;
  RETURN_IF_ERROR(reads_.Copy(out.data(), memory.as<std::byte>() + first * HeldBytes(options(), part),
                              static_cast<int64_t>(out.size())));
  return reads_.Synchronize();
}

}  // namespace arcshard::head
