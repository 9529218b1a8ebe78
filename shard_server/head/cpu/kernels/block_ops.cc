#include "shard_server/head/cpu/kernels/block_ops.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "shard_server/head/cpu/kernels/operands.h"
#include "shard_server/head/cpu/kernels/vectorised.h"

namespace arcshard::head {
namespace {

// Computes `count` columns of a row of Q and adds them to z. A float32 q contains S and is replaced; `s` is unused
// then.
template <typename T>
ARCSHARD_INLINED void ExponentialsOfRow(const NegativeExponential& exponential, float inverse_norm, int64_t count,
                                        const float* __restrict s, T* __restrict q, float* __restrict z) {
  const NegativeExponential e = exponential;  // a copy: its coefficients stay in registers
  for (int64_t i = 0; i < count; ++i) {
    const NegativeTerm term = e(std::is_same_v<T, float> ? Widen(q[i]) : s[i], inverse_norm);
    z[i] += term.p;
    q[i] = Nearest<T>(term.q);
  }
}

template <typename T>
ARCSHARD_INLINED void ExponentialsOfRows(const NegativeExponential& exponential, const ExponentialsJob& job,
                                         const float* s, T* q, float* z) {
  constexpr bool kInPlace = std::is_same_v<T, float>;  // s is null then
  size_t next = 0;
  const int64_t rows = static_cast<int64_t>(job.inverse_norms.size());
  for (int64_t row = 0; row < rows; ++row, q += job.stride) {
    int64_t begin = 0;
    for (; next < job.targets.size() && job.targets[next].row == job.first_row + row; ++next) {
      const int64_t own = job.targets[next].sample;
      ExponentialsOfRow(exponential, job.inverse_norms[row], own - begin, kInPlace ? s : s + begin, q + begin,
                        z + begin);
      q[own] = T();
      begin = own + 1;
    }
    ExponentialsOfRow(exponential, job.inverse_norms[row], job.samples - begin, kInPlace ? s : s + begin, q + begin,
                      z + begin);
    std::fill(q + job.samples, q + job.stride, T());
    if (s != nullptr) s += job.stride;
  }
  std::fill_n(q, (RoundedUp(rows, kRowUnit) - rows) * job.stride, T());
}

}  // namespace

ARCSHARD_VECTORISED
void ExponentialsOfBlock(const NegativeExponential& exponential, const ExponentialsJob& job, float* s, float* z) {
  ExponentialsOfRows(exponential, job, nullptr, s, z);
}

ARCSHARD_VECTORISED
void ExponentialsOfBlock(const NegativeExponential& exponential, const ExponentialsJob& job, const float* __restrict s,
                         Bfloat16* __restrict q, float* __restrict z) {
  ExponentialsOfRows(exponential, job, s, q, z);
}

ARCSHARD_VECTORISED
void InverseNormsOfRows(int64_t dim, const float* w, absl::Span<float> inverse_norms) {
  for (float& inverse_norm : inverse_norms) inverse_norm = InverseNorm(Dot(dim, w, w)), w += dim;
}

ARCSHARD_VECTORISED
void InverseNormsOfRows(int64_t dim, const Bfloat16* w, absl::Span<float> inverse_norms) {
  for (float& inverse_norm : inverse_norms) inverse_norm = InverseNorm(Dot(dim, w, w)), w += dim;
}

ARCSHARD_VECTORISED
void AddScaled(int64_t n, float factor, const float* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

ARCSHARD_VECTORISED
void Scale(int64_t n, float factor, const float* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = factor * x[i];
}

ARCSHARD_VECTORISED
void Scale(int64_t n, float factor, const Bfloat16* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = factor * Widen(x[i]);
}

void UnitVector(int64_t dim, const float* e, float* unit) {
  double sum = 0;  // double: the square of a value can exceed the range of float32 where the value doesn't
  for (int64_t d = 0; d < dim; ++d) sum += static_cast<double>(e[d]) * static_cast<double>(e[d]);
  const double inverse_norm = sum < 1e-24 ? 0.0 : 1.0 / std::sqrt(sum);
  for (int64_t d = 0; d < dim; ++d) unit[d] = static_cast<float>(static_cast<double>(e[d]) * inverse_norm);
}

ARCSHARD_VECTORISED
void AddWidened(int64_t n, const float* __restrict x, double* __restrict sums) {
  for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<double>(x[i]);
}

}  // namespace arcshard::head
