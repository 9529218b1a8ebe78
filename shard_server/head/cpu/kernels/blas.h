#pragma once

namespace arcshard::head {

// During its lifetime, matrix products of the calling thread run in that thread alone; otherwise LibTorch's MKL (or a
// BLAS on OpenMP) starts threads of its own. Requires that the same thread destroys it.
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
