// Kernels over the functions of element_ops.h, one thread for each element: they keep compiling for GPUs what the CPU's
// tests cover. No head launches them yet.

#include <cstdint>

#include "shard_server/head/element_ops.h"
#include "shard_server/head/optimizer_steps.h"
#include "shard_server/head/random_draws.h"

namespace arcshard::head {
namespace {

// The sum of `value` over a warp, in every lane.
__device__ float WarpSum(float value) {
  for (int offset = 16; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffu, value, offset);
  return value;
}

__device__ int64_t GlobalIndex() { return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; }

}  // namespace

// S (rows×samples) becomes Q; own[i] is the row of sample i's own class, or -1.
__global__ void ExponentialsKernel(NegativeExponential exponential, int64_t rows, int64_t samples,
                                   const float* inverse_norms, const int64_t* own, float* s, float* p) {
  const int64_t index = GlobalIndex();
  if (index >= rows * samples) return;
  const int64_t row = index / samples, sample = index % samples;
  const NegativeTerm term = own[sample] == row ? NegativeTerm() : exponential(s[index], inverse_norms[row]);
  p[index] = term.p;
  s[index] = term.q;
}

// One warp for each row of rows×dim.
__global__ void UpdateKernel(SgdStep step, int64_t rows, int64_t dim, const float* h, float* inverse_norms, float* w,
                             float* v) {
  const int64_t row = GlobalIndex() / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  h += row * dim, w += row * dim, v += row * dim;
  float dot = 0.0f, square = 0.0f;
  for (int64_t d = lane; d < dim; d += 32) dot += h[d] * w[d];
  const float radial = WarpSum(dot) * inverse_norms[row] * inverse_norms[row];
  for (int64_t d = lane; d < dim; d += 32) {
    step({}, h[d], radial, w[d], v[d], v[d], {});
    square += w[d] * w[d];
  }
  square = WarpSum(square);
  if (lane == 0) inverse_norms[row] = InverseNorm(square);
}

// One thread for each four dimensions of a class.
__global__ void FirstWeightsKernel(uint64_t seed, int64_t first_class, int64_t rows, int64_t dim, float* w) {
  const int64_t quads = (dim + 3) / 4, index = GlobalIndex();
  if (index >= rows * quads) return;
  const int64_t row = index / quads, quad = index % quads;
  float values[4];
  FirstWeights(seed, first_class + row, quad, values);
  for (int64_t d = quad * 4; d < dim && d < quad * 4 + 4; ++d) w[row * dim + d] = values[d - quad * 4];
}

}  // namespace arcshard::head
