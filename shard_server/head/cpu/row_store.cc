#include "shard_server/head/cpu/row_store.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "shard_server/head/cpu/kernels/operands.h"

namespace arcshard::head {

absl::Status RowStore::Allocate(int64_t rows, int64_t slack, int64_t dim, DataType type, absl::string_view what) {
  type_ = type;
  dim_ = dim;
  RETURN_IF_ERROR(bytes_.Reserve((rows + slack) * dim * BytesOf(type), what));
  FillWithZeros(rows, slack);
  return absl::OkStatus();
}

void RowStore::Read(int64_t first, int64_t rows, float* out) const {
  if (type_ == DataType::kFloat32) {
    std::copy_n(row<float>(first), rows * dim_, out);
  } else {
    Convert(rows * dim_, row<Bfloat16>(first), out);
  }
}

void RowStore::Write(int64_t first, int64_t rows, const float* values) const {
  if (type_ == DataType::kFloat32) {
    std::copy_n(values, rows * dim_, row<float>(first));
  } else {
    Convert(rows * dim_, values, row<Bfloat16>(first));
  }
}

void RowStore::FillWithZeros(int64_t first, int64_t rows) const {
  std::fill_n(bytes_.data() + first * dim_ * BytesOf(type_), rows * dim_ * BytesOf(type_), 0);
}

}  // namespace arcshard::head
