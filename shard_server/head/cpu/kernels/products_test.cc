// The products, and the layout of their factors, against plain sums in float64.

#include "shard_server/head/cpu/kernels/products.h"

#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard_server/head/cpu/kernels/operands.h"
#include "shard_server/head/testing/sharded_head.h"

namespace arcshard::head {
namespace {

template <typename T>
class ProductsTest : public testing::Test {};
struct WidenedBfloat16 {};
using Types = testing::Types<float, Bfloat16, WidenedBfloat16>;
TYPED_TEST_SUITE(ProductsTest, Types);

template <typename T>
std::vector<T> Narrowed(const std::vector<float>& x) {
  std::vector<T> y(x.size());
  Convert(static_cast<int64_t>(x.size()), x.data(), y.data());
  return y;
}

// The values after rounding to T.
template <typename T>
std::vector<float> Kept(std::vector<float> x) {
  for (float& value : x) value = Widen(Nearest<T>(value));
  return x;
}

// padded_rows×stride from rows×columns; the padding is zeros.
template <typename T>
std::vector<T> Padded(const std::vector<T>& x, int64_t columns, int64_t padded_rows, int64_t stride) {
  std::vector<T> y(padded_rows * stride);
  for (size_t i = 0; i < x.size() / columns; ++i) std::copy_n(&x[i * columns], columns, &y[i * stride]);
  return y;
}

void ExpectNear(const std::vector<float>& c, const std::vector<double>& expected, int64_t columns, int64_t stride) {
  for (size_t i = 0; i < expected.size(); ++i) {
    const float value = c[i / columns * stride + i % columns];
    ASSERT_NEAR(value, expected[i], 2e-5 * (1.0 + std::abs(expected[i]))) << i / columns << ", " << i % columns;
  }
}

// a (m×k) · b, where at(k, n) is an element of b.
template <typename At>
std::vector<double> PlainProduct(int64_t m, int64_t n, int64_t k, const std::vector<float>& a, At at) {
  std::vector<double> c(m * n);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t l = 0; l < k; ++l) c[i * n + j] += static_cast<double>(a[i * k + l]) * at(l, j);
    }
  }
  return c;
}

TYPED_TEST(ProductsTest, EachOfTheThreeIsThePlainOneForAnyDimensionAndRaggedSamplesAndRows) {
  constexpr bool kWidened = std::is_same_v<TypeParam, WidenedBfloat16>;
  using T = std::conditional_t<kWidened, Bfloat16, TypeParam>;
  constexpr Bfloat16Products kBfloat16 = kWidened ? Bfloat16Products::kWidened : Bfloat16Products::kNative;
  for (const int64_t dim : {1, 7, 16, 33, 130}) {
    for (const int64_t samples : {1, 5, 32, 77}) {
      constexpr int64_t kRows = 83;
      SCOPED_TRACE(absl::StrCat(dim, " dimensions, ", samples, " samples"));
      const BlockShape shape = {RoundedUp(kRows, kRowUnit), RoundedUp(samples, kRowUnit), dim, kBfloat16};
      const int64_t depth = DepthOf<T>(dim);
      const std::vector<float> w = Kept<T>(RandomNormals(1, kRows * dim)), e = Kept<T>(RandomNormals(2, samples * dim));
      const std::vector<float> q = Kept<T>(RandomNormals(3, kRows * samples)), r = RandomNormals(4, samples);
      std::vector<T> e_packed(depth * shape.samples), e_times_r(shape.samples * dim);
      PackTransposed(samples, dim, e.data(), shape.samples, e_packed.data());
      PackScaledRows(samples, dim, e.data(), r.data(), shape.samples, e_times_r.data());
      const std::vector<T> w_left = Padded(Narrowed<T>(w), dim, shape.rows, depth);
      std::vector<T> w_right(w_left.size());
      PackRows(shape.rows, dim, w_left.data(), depth, w_right.data());
      const std::vector<T> q_padded = Padded(Narrowed<T>(q), samples, shape.rows, shape.samples);
      std::vector<T> q_transposed(q_padded.size());
      Transpose(shape.rows, shape.samples, q_padded.data(), q_transposed.data());

      std::vector<float> s(shape.rows * shape.samples), u(shape.samples * dim, 1.0f), h(shape.rows * dim);
      ProductOfCosines(shape, w_left.data(), e_packed.data(), s.data());
      ExpectNear(s, PlainProduct(kRows, samples, dim, w, [&](int64_t d, int64_t i) { return e[i * dim + d]; }), samples,
                 shape.samples);
      AddWeightedCenters(shape, q_transposed.data(), w_right.data(), u.data());
      std::vector<float> q_turned(samples * kRows);
      for (int64_t i = 0; i < samples * kRows; ++i) q_turned[i] = q[i % kRows * samples + i / kRows];
      std::vector<double> expected =
          PlainProduct(samples, dim, kRows, q_turned, [&](int64_t j, int64_t d) { return w[j * dim + d]; });
      for (double& value : expected) value += 1.0;
      ExpectNear(u, expected, dim, dim);
      const auto times_r = [&](int64_t i, int64_t d) { return Widen(Nearest<T>(r[i] * e[i * dim + d])); };
      expected = PlainProduct(kRows, dim, samples, q, times_r);
      ProductOfGradient(shape, q_padded.data(), e_times_r.data(), /*accumulate=*/false, h.data());
      ExpectNear(h, expected, dim, dim);
      for (double& value : expected) value *= 2;
      ProductOfGradient(shape, q_padded.data(), e_times_r.data(), /*accumulate=*/true, h.data());
      ExpectNear(h, expected, dim, dim);
    }
  }
  ReleaseProducts();
}

TEST(MultiplyWidenedTest, DoesWhatTheProcessorsOwnProductsDo) {
  constexpr ProductShape kShape = {37, 48, 22, 30};
  const std::vector<Bfloat16> a = Narrowed<Bfloat16>(RandomNormals(1, kShape.m * kShape.lda));
  const std::vector<Bfloat16> b = Narrowed<Bfloat16>(RandomNormals(2, kShape.k * kShape.n));
  std::vector<float> native(kShape.m * kShape.n, 1.0f), widened = native;
  if (!HasNativeBfloat16()) GTEST_SKIP() << "this processor has no products of bfloat16";
  Multiply(kShape, a.data(), b.data(), /*accumulate=*/true, native.data());
  MultiplyWidened(kShape, a.data(), b.data(), /*accumulate=*/true, widened.data());
  for (size_t i = 0; i < native.size(); ++i) ASSERT_NEAR(native[i], widened[i], 1e-4) << i;
  ReleaseProducts();
}

TEST(ConvertTest, BothWaysAndOfAnyLength) {
  for (const int64_t n : {1, 15, 16, 77}) {
    const std::vector<float> x = RandomNormals(9, n);
    const std::vector<Bfloat16> narrow = Narrowed<Bfloat16>(x);
    std::vector<float> wide(n);
    Convert(n, narrow.data(), wide.data());
    EXPECT_EQ(wide, Kept<Bfloat16>(x));
  }
}

}  // namespace
}  // namespace arcshard::head
