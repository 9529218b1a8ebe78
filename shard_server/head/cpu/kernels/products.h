#pragma once

#include <cstdint>

#include "shard_server/head/arithmetic/bfloat16.h"
#include "shard_server/head/head_options.h"
#include "shard_server/head/matrix.h"

// The three matrix products of a head, row-major on raw pointers, with factors of type T (float or Bfloat16) and
// float32 sums. They use oneDNN's small products (`brgemm`) from LibTorch. A thread keeps a kernel for each shape that
// it has seen; nothing else is allocated that grows with the shape. A product runs in the calling thread alone if that
// thread has a SingleThreadedBlas.
//
// A left factor is stored row by row. A right factor is "packed". float: its columns are cut into panels of kPanel, the
// last of which may be narrower, and each panel is stored row by row, so that a product reads it from one end to the
// other; rows that are a multiple of 2 KB apart would compete for the same few places of the first-level cache.
// Bfloat16: each two rows are interleaved, with element (k, n) at [k/2][n][k%2], as the processor's bfloat16
// instructions require.
namespace arcshard::head {

// The rows of a block and the samples of a group are padded with zeros to a multiple of this.
constexpr int64_t kRowUnit = 16;

// Columns of a panel of a packed float factor.
constexpr int64_t kPanel = 64;

// The length of a row of W and of Ê in the product of cosines: Bfloat16 needs an even one.
template <typename T>
constexpr int64_t DepthOf(int64_t dim) {
  return sizeof(T) == sizeof(float) ? dim : RoundedUp(dim, 2);
}

struct BlockShape {
  int64_t rows = 0;     // of the block, a multiple of kRowUnit
  int64_t samples = 0;  // of the group, a multiple of kRowUnit
  int64_t dim = 0;
  Bfloat16Products bfloat16 = Bfloat16Products::kNative;
};

// s (rows×samples) <- w (rows×depth) · e (depth×samples, packed: PackTransposed)
template <typename T>
void ProductOfCosines(const BlockShape& shape, const T* w, const T* e, float* s);

// u (samples×dim) <- u + q_transposed (samples×rows) · w (rows×dim, packed: PackRows)
template <typename T>
void AddWeightedCenters(const BlockShape& shape, const T* q_transposed, const T* w, float* u);

// h (rows×dim) <- q (rows×samples) · e (samples×dim, packed: PackScaledRows), or h + q·e where `accumulate`
template <typename T>
void ProductOfGradient(const BlockShape& shape, const T* q, const T* e, bool accumulate, float* h);

// Call in each thread after its last product of a pass: releases the processor's AMX tiles.
void ReleaseProducts();

// c (m×n) <- a (m×k, rows lda apart) · b (k×n, packed), or c + a·b where `accumulate`. Requires an even k for Bfloat16.
struct ProductShape {
  int64_t m = 0, n = 0, k = 0, lda = 0;
};
void Multiply(const ProductShape& shape, const float* a, const float* b, bool accumulate, float* c);
// Requires HasNativeBfloat16().
void Multiply(const ProductShape& shape, const Bfloat16* a, const Bfloat16* b, bool accumulate, float* c);
// As Multiply, but by a float32 product of the converted factors.
void MultiplyWidened(const ProductShape& shape, const Bfloat16* a, const Bfloat16* b, bool accumulate, float* c);

// Whether LibTorch has products of bfloat16 factors for this processor. Where it has none, kNative means kWidened.
bool HasNativeBfloat16();

}  // namespace arcshard::head
