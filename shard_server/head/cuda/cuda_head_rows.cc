#include <algorithm>

#include "common/base/status_macros.h"
#include "shard_server/head/cpu/row_store.h"
#include "shard_server/head/cuda/cuda_check.h"
#include "shard_server/head/cuda/cuda_head.h"
#include "shard_server/head/input_checks.h"

// Rows of a CudaHead in and out. What is held in float32 is copied straight from or to the caller's memory; bfloat16
// goes through the buffer of a block's gradient, which nothing needs between two passes.
namespace arcshard::head {
namespace {

constexpr int64_t kFloat = sizeof(float);

}  // namespace

absl::Status CudaHead::ReadRows(const DeviceMemory& memory, DataType type, ClassRange range,
                                MatrixView<float> out) const {
  RETURN_IF_ERROR(CheckRows(options_, range, out));
  RETURN_IF_ERROR(UseDevice());
  const std::byte* const rows = memory.as<std::byte>() + RowOf(range) * options_.dim * BytesOf(type);
  if (type == DataType::kFloat32) {
    RETURN_IF_ERROR(stream_.Copy(out.data, rows, out.size() * kFloat));
    return stream_.Synchronize();
  }
  const int64_t chunk = block_rows_ * options_.dim;
  for (int64_t first = 0; first < out.size(); first += chunk) {
    const int64_t count = std::min(chunk, out.size() - first);
    RETURN_IF_ERROR(CUDA_STATUS(Convert(count, ConstValues{rows + first * BytesOf(type), type},
                                        Values{h_.data(), DataType::kFloat32}, stream_.get())));
    RETURN_IF_ERROR(stream_.Copy(out.data + first, h_.data(), count * kFloat));
  }
  return stream_.Synchronize();
}

absl::Status CudaHead::WriteRows(const DeviceMemory& memory, DataType type, ClassRange range,
                                 MatrixView<const float> in) {
  RETURN_IF_ERROR(CheckRows(options_, range, in));
  RETURN_IF_ERROR(UseDevice());
  std::byte* const rows = memory.as<std::byte>() + RowOf(range) * options_.dim * BytesOf(type);
  if (type == DataType::kFloat32) {
    RETURN_IF_ERROR(stream_.Copy(rows, in.data, in.size() * kFloat));
    return stream_.Synchronize();
  }
  const int64_t chunk = block_rows_ * options_.dim;
  for (int64_t first = 0; first < in.size(); first += chunk) {
    const int64_t count = std::min(chunk, in.size() - first);
    RETURN_IF_ERROR(stream_.Copy(h_.data(), in.data + first, count * kFloat));
    RETURN_IF_ERROR(CUDA_STATUS(Convert(count, ConstValues{h_.data(), DataType::kFloat32},
                                        Values{rows + first * BytesOf(type), type}, stream_.get())));
  }
  return stream_.Synchronize();
}

absl::Status CudaHead::ReadWeights(ClassRange range, MatrixView<float> out) const {
  return ReadRows(weights_, options_.weights, range, out);
}

absl::Status CudaHead::ReadMoment(int moment, ClassRange range, MatrixView<float> out) const {
  RETURN_IF_ERROR(CheckMoment(options_, moment));
  return ReadRows(moments_[static_cast<size_t>(moment)], options_.moments, range, out);
}

absl::Status CudaHead::WriteWeights(ClassRange range, MatrixView<const float> rows) {
  if (step_ != 0) {
    return absl::FailedPreconditionError(
        "weights can't be written while a step is in hand: pass 2 would see other exponentials than pass 1");
  }
  RETURN_IF_ERROR(WriteRows(weights_, options_.weights, range, rows));
  const int64_t offset = RowOf(range) * options_.dim * BytesOf(options_.weights);
  RETURN_IF_ERROR(CUDA_STATUS(InverseNormsOfRows(range.size(), options_.dim,
                                                 ConstValues{weights_.as<std::byte>() + offset, options_.weights},
                                                 inverse_norms_.as<float>() + RowOf(range), stream_.get())));
  return stream_.Synchronize();
}

absl::Status CudaHead::WriteMoment(int moment, ClassRange range, MatrixView<const float> rows) {
  RETURN_IF_ERROR(CheckMoment(options_, moment));
  return WriteRows(moments_[static_cast<size_t>(moment)], options_.moments, range, rows);
}

absl::Status CudaHead::ReadCounts(ClassRange range, absl::Span<uint32_t> out) const {
  RETURN_IF_ERROR(CheckCounts(options_, range, static_cast<int64_t>(out.size())));
  RETURN_IF_ERROR(UseDevice());
  RETURN_IF_ERROR(stream_.Copy(out.data(), counts_.as<uint32_t>() + RowOf(range),
                               static_cast<int64_t>(out.size() * sizeof(uint32_t))));
  return stream_.Synchronize();
}

// On a stream of its own: what passes have queued does not change these rows, and need not be waited for.
absl::Status CudaHead::ReadHeld(RowPart part, ClassRange range, absl::Span<std::byte> out) const {
  RETURN_IF_ERROR(CheckHeld(options_, part, range, out.size()));
  RETURN_IF_ERROR(UseDevice());
  const DeviceMemory& memory = part == RowPart::kWeights   ? weights_
                               : part == RowPart::kMoment0 ? moments_[0]
                               : part == RowPart::kMoment1 ? moments_[1]
                                                           : counts_;
  RETURN_IF_ERROR(reads_.Copy(out.data(), memory.as<std::byte>() + RowOf(range) * HeldBytes(options_, part),
                              static_cast<int64_t>(out.size())));
  return reads_.Synchronize();
}

absl::Status CudaHead::WriteCounts(ClassRange range, absl::Span<const uint32_t> counts) {
  RETURN_IF_ERROR(CheckCounts(options_, range, static_cast<int64_t>(counts.size())));
  RETURN_IF_ERROR(UseDevice());
  RETURN_IF_ERROR(stream_.Copy(counts_.as<uint32_t>() + RowOf(range), counts.data(),
                               static_cast<int64_t>(counts.size() * sizeof(uint32_t))));
  return stream_.Synchronize();
}

}  // namespace arcshard::head
