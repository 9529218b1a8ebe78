#include "shard_server/head/cpu/kernels/products.h"

#include <ATen/native/CPUBlas.h>

#include <algorithm>
#include <cassert>
#include <vector>

#include "shard_server/head/arithmetic/bfloat16.h"
#include "shard_server/head/cpu/kernels/operands.h"

namespace arcshard::head {
namespace {

namespace cpublas = at::native::cpublas;

// Rows of the left factor for one call, so that they stay in a cache of the core.
template <typename T>
constexpr int64_t kRowsOfCall = sizeof(T) == sizeof(float) ? 256 : 64;

const at::BFloat16* Torch(const Bfloat16* x) {
  static_assert(sizeof(at::BFloat16) == sizeof(Bfloat16));
  return reinterpret_cast<const at::BFloat16*>(x);
}

void MultiplyNatively(const ProductShape& shape, const Bfloat16* a, const Bfloat16* b, bool accumulate, float* c) {
  cpublas::brgemm(shape.m, shape.n, shape.k, shape.lda, shape.n, shape.n, accumulate, Torch(a), Torch(b), c,
                  /*is_vnni=*/true);
}

// Whether LibTorch has a kernel with interleaved rows for this processor. Where it has none, it reads the right
// factor as one whose rows are not, or throws; so this multiplies small matrices and looks at the result.
bool HasInterleavedProducts() {
  constexpr ProductShape kShape = {16, 16, 4, 4};
  Bfloat16 a[16 * 4], b[4 * 16];
  float native[16 * 16] = {}, widened[16 * 16] = {};
  for (int i = 0; i < 64; ++i) {
    a[i] = RoundToNearest(static_cast<float>(i % 7 - 3));
    b[i] = RoundToNearest(static_cast<float>(i % 11 - 5));
  }
  try {
    MultiplyNatively(kShape, a, b, false, native);
  } catch (const std::exception&) {
    return false;
  }
  ReleaseProducts();
  MultiplyWidened(kShape, a, b, false, widened);
  return std::equal(native, native + 256, widened);  // small integers: both products are exact
}

[[maybe_unused]] bool IsPadded(const BlockShape& shape) {
  return shape.rows % kRowUnit == 0 && shape.samples % kRowUnit == 0;
}

template <typename T>
void MultiplyInPieces(ProductShape shape, const T* a, const T* b, bool accumulate, float* c) {
  const int64_t rows = shape.m;
  for (int64_t row = 0; row < rows; row += kRowsOfCall<T>) {
    shape.m = std::min(kRowsOfCall<T>, rows - row);
    Multiply(shape, a + row * shape.lda, b, accumulate, c + row * shape.n);
  }
}

void MultiplyBlock(Bfloat16Products, const ProductShape& shape, const float* a, const float* b, bool accumulate,
                   float* c) {
  MultiplyInPieces(shape, a, b, accumulate, c);
}

void MultiplyBlock(Bfloat16Products products, const ProductShape& shape, const Bfloat16* a, const Bfloat16* b,
                   bool accumulate, float* c) {
  if (products == Bfloat16Products::kNative && HasNativeBfloat16()) {
    MultiplyInPieces(shape, a, b, accumulate, c);
  } else {
    MultiplyWidened(shape, a, b, accumulate, c);
  }
}

}  // namespace

bool HasNativeBfloat16() {
  static const bool native = HasInterleavedProducts();
  return native;
}

// The right factor is converted once, the left one by pieces, which stay in the first-level cache.
void MultiplyWidened(const ProductShape& shape, const Bfloat16* a, const Bfloat16* b, bool accumulate, float* c) {
  assert(shape.k % 2 == 0);
  thread_local std::vector<float> left, right;
  const auto reserve = [](std::vector<float>& values, int64_t count) {
    if (values.size() < static_cast<size_t>(count)) values.resize(static_cast<size_t>(count));
  };
  constexpr int64_t kRows = kRowsOfCall<Bfloat16>;
  reserve(left, kRows * shape.k);
  reserve(right, shape.k * shape.n);
  WidenPackedRows(shape.k, shape.n, b, right.data());
  ProductShape piece = {.m = 0, .n = shape.n, .k = shape.k, .lda = shape.k};
  for (int64_t row = 0; row < shape.m; row += kRows) {
    piece.m = std::min(kRows, shape.m - row);
    for (int64_t i = 0; i < piece.m; ++i) {
      Convert(shape.k, a + (row + i) * shape.lda, left.data() + i * shape.k);
    }
    Multiply(piece, left.data(), right.data(), accumulate, c + row * shape.n);
  }
}

void Multiply(const ProductShape& shape, const float* a, const float* b, bool accumulate, float* c) {
  for (int64_t column = 0; column < shape.n; column += kPanel) {
    const int64_t width = std::min(kPanel, shape.n - column);
    cpublas::brgemm(shape.m, width, shape.k, shape.lda, width, shape.n, accumulate, a, b + column * shape.k, c + column,
                    /*is_vnni=*/false);
  }
}

void Multiply(const ProductShape& shape, const Bfloat16* a, const Bfloat16* b, bool accumulate, float* c) {
  assert(shape.k % 2 == 0 && HasNativeBfloat16());
  MultiplyNatively(shape, a, b, accumulate, c);
}

template <typename T>
void ProductOfCosines(const BlockShape& shape, const T* w, const T* e, float* s) {
  assert(IsPadded(shape));
  const int64_t depth = DepthOf<T>(shape.dim);
  MultiplyBlock(shape.bfloat16, {shape.rows, shape.samples, depth, depth}, w, e, false, s);
}

template <typename T>
void AddWeightedCenters(const BlockShape& shape, const T* q_transposed, const T* w, float* u) {
  assert(IsPadded(shape));
  MultiplyBlock(shape.bfloat16, {shape.samples, shape.dim, shape.rows, shape.rows}, q_transposed, w, true, u);
}

template <typename T>
void ProductOfGradient(const BlockShape& shape, const T* q, const T* e, bool accumulate, float* h) {
  assert(IsPadded(shape));
  MultiplyBlock(shape.bfloat16, {shape.rows, shape.dim, shape.samples, shape.samples}, q, e, accumulate, h);
}

void ReleaseProducts() { cpublas::brgemm_release(); }

template void ProductOfCosines(const BlockShape&, const float*, const float*, float*);
template void ProductOfCosines(const BlockShape&, const Bfloat16*, const Bfloat16*, float*);
template void AddWeightedCenters(const BlockShape&, const float*, const float*, float*);
template void AddWeightedCenters(const BlockShape&, const Bfloat16*, const Bfloat16*, float*);
template void ProductOfGradient(const BlockShape&, const float*, const float*, bool, float*);
template void ProductOfGradient(const BlockShape&, const Bfloat16*, const Bfloat16*, bool, float*);

}  // namespace arcshard::head
