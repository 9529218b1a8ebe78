#pragma once

#include <cstdint>

namespace arcshard::head {

// The three products of a head, on raw pointers and row-major (BLAS's sgemm, which LibTorch exports: nothing is
// allocated here). Each runs in the calling thread alone where that thread holds a SingleThreadedBlas.

// s (rows×stride, of which `samples` columns are written) <- w (rows×dim) · e (samples×dim)^T
void ProductOfCosines(int64_t rows, int64_t samples, int64_t dim, const float* w, const float* e, float* s,
                      int64_t stride);

// u (samples×dim) <- u + q (rows×stride)^T · w (rows×dim)
void AddWeightedCenters(int64_t rows, int64_t samples, int64_t dim, const float* q, int64_t stride, const float* w,
                        float* u);

// h (rows×dim) <- q (rows×stride) · e (samples×dim), or h + that where `accumulate`
void ProductOfGradient(int64_t rows, int64_t samples, int64_t dim, const float* q, int64_t stride, const float* e,
                       bool accumulate, float* h);

// While it lives, products of this thread use no other thread: LibTorch's MKL (or a BLAS on OpenMP) would start its
// own.
class SingleThreadedBlas {
 public:
  SingleThreadedBlas();
  ~SingleThreadedBlas();
  SingleThreadedBlas(const SingleThreadedBlas&) = delete;
  SingleThreadedBlas& operator=(const SingleThreadedBlas&) = delete;

 private:
  int mkl_threads_before_ = 0;
  int omp_threads_before_ = 0;
};

}  // namespace arcshard::head
