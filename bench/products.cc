#include "bench/products.h"

#include <ATen/native/CPUBlas.h>
#include <dlfcn.h>

#include <algorithm>
#include <exception>
#include <type_traits>

#include "shard_server/head/cpu/kernels/products.h"

extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);

namespace arcshard::bench {
namespace {

namespace cpublas = at::native::cpublas;

// --- BLAS, column-major: c^T = b^T·a^T

void MultiplyBySgemm(const Product& product, int64_t, const float* a, const float* b, float* c) {
  const int m = static_cast<int>(product.n), n = static_cast<int>(product.m), k = static_cast<int>(product.k);
  const int ldb = product.b_transposed ? k : m, lda = product.a_transposed ? n : k;
  const float alpha = 1.0f, beta = product.accumulate ? 1.0f : 0.0f;
  sgemm_(product.b_transposed ? "T" : "N", product.a_transposed ? "T" : "N", &m, &n, &k, &alpha, b, &ldb, a, &lda,
         &beta, c, &m);
}

// MKL's cblas_gemm_bf16bf16f32; null where LibTorch was built without it.
using GemmBf16 = void(int layout, int trans_a, int trans_b, int m, int n, int k, float alpha, const Bfloat16* a,
                      int lda, const Bfloat16* b, int ldb, float beta, float* c, int ldc);
GemmBf16* LoadedGemmBf16() {
  static auto* const gemm = reinterpret_cast<GemmBf16*>(dlsym(RTLD_DEFAULT, "cblas_gemm_bf16bf16f32"));
  return gemm;
}

void MultiplyByMkl(const Product& product, int64_t, const Bfloat16* a, const Bfloat16* b, float* c) {
  constexpr int kRowMajor = 101, kNoTrans = 111, kTrans = 112;
  const int m = static_cast<int>(product.m), n = static_cast<int>(product.n), k = static_cast<int>(product.k);
  LoadedGemmBf16()(kRowMajor, product.a_transposed ? kTrans : kNoTrans, product.b_transposed ? kTrans : kNoTrans, m, n,
                   k, 1.0f, a, product.a_transposed ? m : k, b, product.b_transposed ? k : n,
                   product.accumulate ? 1.0f : 0.0f, c, n);
}

// --- oneDNN's small products

const float* Torch(const float* x) { return x; }
const at::BFloat16* Torch(const Bfloat16* x) { return reinterpret_cast<const at::BFloat16*>(x); }

template <typename T>
void MultiplyByBrgemm(const Product& product, int64_t rows_of_call, const T* a, const T* b, float* c) {
  const int64_t step = rows_of_call > 0 ? rows_of_call : product.m;
  for (int64_t row = 0; row < product.m; row += step) {
    cpublas::brgemm(std::min(step, product.m - row), product.n, product.k, product.k, product.n, product.n,
                    product.accumulate, Torch(a + row * product.k), Torch(b), c + row * product.n,
                    /*is_vnni=*/sizeof(T) < sizeof(float));
  }
}

// As MultiplyByBrgemm, with the columns of b in panels, as the head multiplies.
void MultiplyInPanels(const Product& product, int64_t rows_of_call, const float* a, const float* b, float* c) {
  for (int64_t row = 0; row < product.m; row += rows_of_call) {
    head::Multiply({std::min(rows_of_call, product.m - row), product.n, product.k, /*lda=*/product.k},
                   a + row * product.k, b, product.accumulate, c + row * product.n);
  }
}

// Whether LibTorch has these products for this processor; it throws if not.
template <typename T>
bool HasBrgemm() {
  std::vector<T> factor(16 * 16);
  std::vector<float> product(16 * 16);
  try {
    MultiplyByBrgemm<T>({16, 16, 16}, 0, factor.data(), factor.data(), product.data());
  } catch (const std::exception&) {
    return false;
  }
  ReleaseProducts();
  return true;
}

template <typename T>
void AddBrgemm(std::vector<Routine<T>>* routines) {
  if (!HasBrgemm<T>()) return;
  for (const int64_t rows : {32, 64, 128}) routines->push_back({"brgemm", MultiplyByBrgemm<T>, rows});
  if constexpr (std::is_same_v<T, float>) {
    for (const int64_t rows : {64, 256}) routines->push_back({"brgemm in panels", MultiplyInPanels, rows});
  }
}

}  // namespace

template <>
std::vector<Routine<float>> Routines<float>() {
  std::vector<Routine<float>> routines = {{"sgemm", MultiplyBySgemm}};
  AddBrgemm(&routines);
  return routines;
}

template <>
std::vector<Routine<Bfloat16>> Routines<Bfloat16>() {
  std::vector<Routine<Bfloat16>> routines;
  if (LoadedGemmBf16() != nullptr) routines.push_back({"cblas_gemm_bf16bf16f32", MultiplyByMkl});
  AddBrgemm(&routines);
  return routines;
}

void ReleaseProducts() { cpublas::brgemm_release(); }

}  // namespace arcshard::bench
