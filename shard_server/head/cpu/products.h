#pragma once

#include <cstdint>

#include "shard_server/head/bfloat16.h"

// The three products of a head, whose factors are T (float or Bfloat16) and whose sums are float32, on raw pointers and
// row-major, by the small matrix products that LibTorch takes from oneDNN (`brgemm`). A thread keeps the kernel of each
// shape it has seen; beyond that nothing is allocated that grows with the shape. A product runs in the calling thread
// alone where that thread holds a SingleThreadedBlas.
//
// A left factor lies row by row. A right factor is "paired": float as it is, Bfloat16 with each two rows interleaved,
// (k, n) at [k/2][n][k%2], which is what the processor's bfloat16 instructions take.
namespace arcshard::head {

// Rows of a block, samples of a group: in multiples of it, what is beyond being zeros.
constexpr int64_t kRowUnit = 16;
constexpr int64_t RoundedUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// Dimensions of a row of W and of Ê as the product of cosines takes it: Bfloat16 needs pairs.
template <typename T>
constexpr int64_t DepthOf(int64_t dim) {
  return sizeof(T) == sizeof(float) ? dim : RoundedUp(dim, 2);
}

struct BlockShape {
  int64_t rows = 0;     // of the block, in kRowUnit
  int64_t samples = 0;  // of the group, in kRowUnit
  int64_t dim = 0;
};

// s (rows×samples) <- w (rows×depth) · e (depth×samples, paired: PairTransposed)
template <typename T>
void ProductOfCosines(const BlockShape& shape, const T* w, const T* e, float* s);

// u (samples×dim) <- u + q_transposed (samples×rows) · w (rows×dim, paired: PairRows)
template <typename T>
void AddWeightedCenters(const BlockShape& shape, const T* q_transposed, const T* w, float* u);

// h (rows×dim) <- q (rows×samples) · e (samples×dim, paired: PairRows), or h + that where `accumulate`
template <typename T>
void ProductOfGradient(const BlockShape& shape, const T* q, const T* e, bool accumulate, float* h);

// Call in each thread after its last product of a pass: gives back what the processor lends to them (AMX's tiles).
void ReleaseProducts();

// c (m×n) <- a (m×k, rows lda apart) · b (k×n, paired), or c + that. k is even where T is Bfloat16.
struct ProductShape {
  int64_t m = 0, n = 0, k = 0, lda = 0;
};
void Multiply(const ProductShape& shape, const float* a, const float* b, bool accumulate, float* c);
void Multiply(const ProductShape& shape, const Bfloat16* a, const Bfloat16* b, bool accumulate, float* c);

// The same by float32 products of the widened factors: what Multiply does where there are no bfloat16 instructions.
void MultiplyWidened(const ProductShape& shape, const Bfloat16* a, const Bfloat16* b, bool accumulate, float* c);

}  // namespace arcshard::head
