#include "shard_server/head/cpu/class_store.h"

#include <algorithm>
#include <cassert>

#include "common/base/status_macros.h"
#include "shard_server/head/arithmetic/element_ops.h"
#include "shard_server/head/arithmetic/random_draws.h"
#include "shard_server/head/cpu/kernels/block_ops.h"
#include "shard_server/head/cpu/kernels/operands.h"
#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::head {
namespace {

template <typename T>
constexpr DataType kTypeOf = sizeof(T) == sizeof(float) ? DataType::kFloat32 : DataType::kBfloat16;

// Copies the rows into rows of `stride` values, and fills the rest, up to a multiple of kRowUnit rows, with zeros.
template <typename From, typename To>
void Gather(const RowStore& weights, const BlockRows& rows, int64_t dim, int64_t stride, To* out) {
  for (int64_t i = 0; i < rows.count; ++i, out += stride) {
    Convert(dim, weights.row<From>(rows[i]), out);
    std::fill(out + dim, out + stride, To());
  }
  std::fill_n(out, (RoundedUp(rows.count, kRowUnit) - rows.count) * stride, To());
}

}  // namespace

int64_t ClassStore::BytesPerClass(const HeadOptions& options) {
  const int64_t count = options.num_moments() == 2 ? sizeof(uint32_t) : 0;
  return options.dim * (BytesOf(options.weights) + options.num_moments() * BytesOf(options.moments)) + count +
         static_cast<int64_t>(sizeof(float));
}

absl::Status ClassStore::Allocate() {
  const int64_t classes = options_.range.size();
  RETURN_IF_ERROR(weights_.Allocate(classes, kRowUnit, options_.dim, options_.weights, "class centers"));
  for (int i = 0; i < options_.num_moments(); ++i) {
    RETURN_IF_ERROR(moments_[static_cast<size_t>(i)].Allocate(classes, 0, options_.dim, options_.moments, "moments"));
  }
  if (options_.num_moments() == 2) RETURN_IF_ERROR(counts_.Reserve(classes, "step counts"));
  return inverse_norms_.Reserve(classes, "inverse norms");
}

void ClassStore::Fill(int64_t first, int64_t rows) const {
  options_.first_weights ? DrawWeights(first, rows) : weights_.FillWithZeros(first, rows);
  for (int i = 0; i < options_.num_moments(); ++i) moment(i).FillWithZeros(first, rows);
  if (options_.num_moments() == 2) std::fill_n(counts() + first, rows, 0u);
  RenewInverseNorms(first, rows);
}

void ClassStore::DrawWeights(int64_t first, int64_t rows) const {
  float row[4];
  const int64_t dim = options_.dim;
  for (int64_t i = first; i < first + rows; ++i) {
    for (int64_t d = 0; d < dim; d += 4) {
      FirstWeights(options_.seed, options_.range.begin + i, d / 4, row);
      const int64_t n = std::min<int64_t>(4, dim - d);
      if (options_.weights == DataType::kFloat32) {
        std::copy_n(row, n, weights_.row<float>(i) + d);
      } else {
        Convert(n, row, weights_.row<Bfloat16>(i) + d);
      }
    }
  }
}

const void* ClassStore::Held(RowPart part, int64_t first) const {
  assert(HeldBytes(options_, part) > 0);
  switch (part) {
    case RowPart::kWeights:
      return weights_.bytes(first);
    case RowPart::kMoment0:
      return moment(0).bytes(first);
    case RowPart::kMoment1:
      return moment(1).bytes(first);
    case RowPart::kCounts:
      return counts() + first;
  }
  return nullptr;
}

void ClassStore::RenewInverseNorms(int64_t first, int64_t rows) const {
  const absl::Span<float> inverse_norms(inverse_norms_.data() + first, static_cast<size_t>(rows));
  if (options_.weights == DataType::kFloat32) {
    InverseNormsOfRows(options_.dim, weights_.row<float>(first), inverse_norms);
  } else {
    InverseNormsOfRows(options_.dim, weights_.row<Bfloat16>(first), inverse_norms);
  }
}

void ClassStore::UnitCenter(int64_t row, float* out) const {
  const float inverse_norm = inverse_norms_.data()[row];
  if (options_.weights == DataType::kFloat32) {
    Scale(options_.dim, inverse_norm, weights_.row<float>(row), out);
  } else {
    Scale(options_.dim, inverse_norm, weights_.row<Bfloat16>(row), out);
  }
}

template <typename T>
const T* ClassStore::Centers(const BlockRows& rows, T* scratch) const {
  const int64_t depth = DepthOf<T>(options_.dim);
  // Only the shard's last block can have a number of rows that is no multiple of kRowUnit; zeros follow it in the
  // store.
  if (options_.weights == kTypeOf<T> && rows.list == nullptr && depth == options_.dim) {
    return weights_.row<T>(rows.first);
  }
  if (options_.weights == DataType::kFloat32) {
    Gather<float>(weights_, rows, options_.dim, depth, scratch);
  } else {
    Gather<Bfloat16>(weights_, rows, options_.dim, depth, scratch);
  }
  return scratch;
}

template const float* ClassStore::Centers(const BlockRows&, float*) const;
template const Bfloat16* ClassStore::Centers(const BlockRows&, Bfloat16*) const;

}  // namespace arcshard::head
