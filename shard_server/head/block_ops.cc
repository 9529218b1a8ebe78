#include "shard_server/head/block_ops.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

// One version of a pass for each level of x86, chosen when the program starts. Clang 14 does not know these names, and
// a sanitizer's runtime is not up yet when the choice is made.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define ARCSHARD_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ARCSHARD_VECTORISED
#endif

namespace arcshard::head {
namespace {

// A sum in 16 partial sums, so that it vectorises without letting the compiler reorder anything.
constexpr int64_t kLanes = 16;

inline float SumOfLanes(const float (&lanes)[kLanes]) {
  float pairs[kLanes / 2];
  for (int64_t i = 0; i < kLanes / 2; ++i) pairs[i] = lanes[i] + lanes[i + kLanes / 2];
  return ((pairs[0] + pairs[4]) + (pairs[1] + pairs[5])) + ((pairs[2] + pairs[6]) + (pairs[3] + pairs[7]));
}

// sum of x[d]·y[d].
__attribute__((always_inline)) inline float Dot(int64_t dim, const float* __restrict x, const float* __restrict y) {
  float lanes[kLanes] = {};
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] += x[d + i] * y[d + i];
  }
  for (int64_t i = 0; d + i < dim; ++i) lanes[i] += x[d + i] * y[d + i];
  return SumOfLanes(lanes);
}

__attribute__((always_inline)) inline void ExponentialsOfRow(const NegativeExponential& exponential, float inverse_norm,
                                                             int64_t begin, int64_t end, float* __restrict s,
                                                             float* __restrict z) {
  const NegativeExponential e = exponential;  // a copy: its coefficients stay in registers
  for (int64_t i = begin; i < end; ++i) {
    const NegativeTerm term = e(s[i], inverse_norm);
    z[i] += term.p;
    s[i] = term.q;
  }
}

}  // namespace

ARCSHARD_VECTORISED
void ExponentialsOfBlock(const NegativeExponential& exponential, absl::Span<const float> inverse_norms, int64_t samples,
                         int64_t stride, int64_t first_row, absl::Span<const Target> targets, float* s, float* z) {
  size_t next = 0;
  const int64_t rows = static_cast<int64_t>(inverse_norms.size());
  for (int64_t row = 0; row < rows; ++row, s += stride) {
    int64_t begin = 0;
    for (; next < targets.size() && targets[next].row == first_row + row; ++next) {
      const int64_t own = targets[next].sample;
      ExponentialsOfRow(exponential, inverse_norms[row], begin, own, s, z);
      s[own] = 0.0f;
      begin = own + 1;
    }
    ExponentialsOfRow(exponential, inverse_norms[row], begin, samples, s, z);
  }
}

ARCSHARD_VECTORISED
void UpdateBlock(const SgdStep& step, int64_t dim, const float* __restrict h, absl::Span<float> inverse_norms,
                 float* __restrict w, float* __restrict v) {
  for (float& inverse_norm : inverse_norms) {
    const float radial = Dot(dim, h, w) * inverse_norm * inverse_norm;
    const SgdStep sgd = step;
    float lanes[kLanes] = {};
    int64_t d = 0;
    for (; d + kLanes <= dim; d += kLanes) {
      for (int64_t i = 0; i < kLanes; ++i) {
        sgd({}, h[d + i], radial, w[d + i], v[d + i], v[d + i], {});
        lanes[i] += w[d + i] * w[d + i];
      }
    }
    for (int64_t i = 0; d + i < dim; ++i) {
      sgd({}, h[d + i], radial, w[d + i], v[d + i], v[d + i], {});
      lanes[i] += w[d + i] * w[d + i];
    }
    inverse_norm = InverseNorm(SumOfLanes(lanes));
    h += dim;
    w += dim;
    v += dim;
  }
}

ARCSHARD_VECTORISED
void InverseNormsOfRows(int64_t dim, const float* w, absl::Span<float> inverse_norms) {
  for (float& inverse_norm : inverse_norms) {
    inverse_norm = InverseNorm(Dot(dim, w, w));
    w += dim;
  }
}

ARCSHARD_VECTORISED
void AddScaled(int64_t n, float factor, const float* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

ARCSHARD_VECTORISED
void Scale(int64_t n, float factor, const float* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = factor * x[i];
}

void UnitVector(int64_t dim, const float* e, float* unit) {
  double sum = 0;  // double: an embedding's square may leave float32's range where the embedding does not
  for (int64_t d = 0; d < dim; ++d) sum += static_cast<double>(e[d]) * static_cast<double>(e[d]);
  const double inverse_norm = sum < 1e-24 ? 0.0 : 1.0 / std::sqrt(sum);
  for (int64_t d = 0; d < dim; ++d) unit[d] = static_cast<float>(static_cast<double>(e[d]) * inverse_norm);
}

ARCSHARD_VECTORISED
void AddWidened(int64_t n, const float* __restrict x, double* __restrict sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<double>(x[i]);
}

void FillFirstWeights(uint64_t seed, int64_t first_class, int64_t rows, int64_t dim, float* w) {
  for (int64_t row = 0; row < rows; ++row, w += dim) {
    for (int64_t d = 0; d < dim; d += 4) {
      float quad[4];
      FirstWeights(seed, first_class + row, d / 4, quad);
      std::copy_n(quad, std::min<int64_t>(4, dim - d), w + d);
    }
  }
}

}  // namespace arcshard::head
