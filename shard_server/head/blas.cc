#include "shard_server/head/blas.h"

#include <dlfcn.h>

extern "C" void sgemm_(const char* trans_a, const char* trans_b, const int* m, const int* n, const int* k,
                       const float* alpha, const float* a, const int* lda, const float* b, const int* ldb,
                       const float* beta, float* c, const int* ldc);

namespace arcshard::head {
namespace {

// A matrix as BLAS sees it: column-major, so a row-major one is its transpose.
struct Operand {
  const float* data;
  int64_t leading;
  bool transposed;
};

// c (m×n, column-major) <- a (m×k) · b (k×n) + beta·c. A block's sizes always fit BLAS's 32-bit integers.
void Gemm(int64_t m, int64_t n, int64_t k, Operand a, Operand b, float beta, float* c, int64_t leading) {
  const int m32 = static_cast<int>(m), n32 = static_cast<int>(n), k32 = static_cast<int>(k);
  const int lda = static_cast<int>(a.leading), ldb = static_cast<int>(b.leading), ldc = static_cast<int>(leading);
  const float one = 1.0f;
  sgemm_(a.transposed ? "T" : "N", b.transposed ? "T" : "N", &m32, &n32, &k32, &one, a.data, &lda, b.data, &ldb, &beta,
         c, &ldc);
}

// A LibTorch need not have been built with MKL or OpenMP: what is not loaded is not called.
template <typename Function>
Function* Loaded(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

// MKL's C function of that name (the lower-case one is Fortran's): returns the number before.
int SetMklThreads(int threads) {
  static auto* const set = Loaded<int(int)>("MKL_Set_Num_Threads_Local");
  return set == nullptr ? 0 : set(threads);
}

// OpenMP's number for regions that this thread starts: returns the number before.
int SetOmpThreads(int threads) {
  static auto* const get = Loaded<int()>("omp_get_max_threads");
  static auto* const set = Loaded<void(int)>("omp_set_num_threads");
  if (get == nullptr || set == nullptr) return 0;
  const int before = get();
  set(threads);
  return before;
}

}  // namespace

void ProductOfCosines(int64_t rows, int64_t samples, int64_t dim, const float* w, const float* e, float* s,
                      int64_t stride) {
  Gemm(samples, rows, dim, {e, dim, true}, {w, dim, false}, 0.0f, s, stride);
}

void AddWeightedCenters(int64_t rows, int64_t samples, int64_t dim, const float* q, int64_t stride, const float* w,
                        float* u) {
  Gemm(dim, samples, rows, {w, dim, false}, {q, stride, true}, 1.0f, u, dim);
}

void ProductOfGradient(int64_t rows, int64_t samples, int64_t dim, const float* q, int64_t stride, const float* e,
                       bool accumulate, float* h) {
  Gemm(dim, rows, samples, {e, dim, false}, {q, stride, false}, accumulate ? 1.0f : 0.0f, h, dim);
}

SingleThreadedBlas::SingleThreadedBlas()
    : mkl_threads_before_(SetMklThreads(1)), omp_threads_before_(SetOmpThreads(1)) {}

SingleThreadedBlas::~SingleThreadedBlas() {
  SetMklThreads(mkl_threads_before_);  // 0 is MKL's "as for every thread"
  if (omp_threads_before_ > 0) SetOmpThreads(omp_threads_before_);
}

}  // namespace arcshard::head
