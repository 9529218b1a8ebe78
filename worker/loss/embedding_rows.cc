#include "worker/loss/embedding_rows.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "ATen/ops/empty.h"

namespace arcshard::worker {
namespace {

constexpr double kTinyNorm = 1e-12;
// A sum is computed as so many partial sums, so that it can be vectorised without allowing the compiler to reorder it.
constexpr int64_t kLanes = 8;

// The sum of term(d) over d in [0, dim).
template <typename Term>
double Sum(int64_t dim, Term term) {
  double lanes[kLanes] = {};
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (int64_t i = 0; i < kLanes; ++i) lanes[i] += term(d + i);
  }
  for (int64_t i = 0; d + i < dim; ++i) lanes[i] += term(d + i);
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

// NaN is not tiny.
bool IsTiny(double norm) { return norm < kTinyNorm; }

template <typename T>
void Describe(int64_t dim, const T* e, const T* w, double* norm, double* cosine) {
  const auto wide = [](T x) { return static_cast<double>(x); };
  const double length = std::sqrt(Sum(dim, [&](int64_t d) { return wide(e[d]) * wide(e[d]); }));
  *norm = IsTiny(length) ? 0.0 : length;
  *cosine = IsTiny(length) ? 0.0 : Sum(dim, [&](int64_t d) { return wide(e[d]) * wide(w[d]); }) / length;
}

struct Factors {
  double norm, r, t, d_norm;
};

template <typename T>
struct Rows {
  const T *e, *u, *w;
};

template <typename T>
void Gradient(int64_t dim, const Rows<T>& row, const Factors& f, T* out) {
  if (f.norm == 0.0) {
    std::fill_n(out, dim, T(0));
    return;
  }
  const auto e = [&](int64_t d) { return static_cast<double>(row.e[d]); };
  const auto g = [&](int64_t d) { return f.r * static_cast<double>(row.u[d]) + f.t * static_cast<double>(row.w[d]); };
  const double along = Sum(dim, [&](int64_t d) { return g(d) * e(d); }) / f.norm;  // g·ê
  const double of_e = (f.d_norm - along / f.norm) / f.norm, inverse = 1.0 / f.norm;
  for (int64_t d = 0; d < dim; ++d) out[d] = static_cast<T>(g(d) * inverse + of_e * e(d));
}

template <typename T>
const T* RowOf(const at::Tensor& x, int64_t i) {
  return x.const_data_ptr<T>() + i * x.size(1);
}
double At(const at::Tensor& x, int64_t i) { return x.const_data_ptr<double>()[i]; }

template <typename T>
void DescribeAll(const at::Tensor& e, const at::Tensor& w, const EmbeddingRows& rows) {
  double* const norm = rows.norm.mutable_data_ptr<double>();
  double* const cosine = rows.cosine.mutable_data_ptr<double>();
  for (int64_t i = 0; i < e.size(0); ++i) Describe(e.size(1), RowOf<T>(e, i), RowOf<T>(w, i), norm + i, cosine + i);
}

template <typename T>
void GradientOfAll(const at::Tensor& e, const at::Tensor& norm, const at::Tensor& u, const at::Tensor& w,
                   const RowFactors& factors, const at::Tensor& out) {
  T* const rows = out.mutable_data_ptr<T>();
  for (int64_t i = 0; i < e.size(0); ++i) {
    const Factors of_row{At(norm, i), At(factors.r, i), At(factors.t, i), At(factors.d_norm, i)};
    Gradient<T>(e.size(1), {RowOf<T>(e, i), RowOf<T>(u, i), RowOf<T>(w, i)}, of_row, rows + i * e.size(1));
  }
}

[[maybe_unused]] bool IsRow(const at::Tensor& x, const at::Tensor& e) {
  return x.is_contiguous() && x.sizes() == e.sizes() && x.scalar_type() == e.scalar_type() && x.device().is_cpu();
}

}  // namespace

EmbeddingRows DescribeRows(const at::Tensor& e, const at::Tensor& w) {
  assert(IsRow(e, e) && IsRow(w, e));
  const at::TensorOptions wide = e.options().dtype(at::kDouble).requires_grad(false);
  const EmbeddingRows rows{.norm = at::empty({e.size(0)}, wide), .cosine = at::empty({e.size(0)}, wide)};
  e.scalar_type() == at::kFloat ? DescribeAll<float>(e, w, rows) : DescribeAll<double>(e, w, rows);
  return rows;
}

at::Tensor GradientOfRows(const at::Tensor& e, const at::Tensor& norm, const at::Tensor& u, const at::Tensor& w,
                          const RowFactors& factors) {
  assert(IsRow(e, e) && IsRow(u, e) && IsRow(w, e));
  const at::Tensor out = at::empty(e.sizes(), e.options().requires_grad(false));
  e.scalar_type() == at::kFloat ? GradientOfAll<float>(e, norm, u, w, factors, out)
                                : GradientOfAll<double>(e, norm, u, w, factors, out);
  return out;
}

}  // namespace arcshard::worker
