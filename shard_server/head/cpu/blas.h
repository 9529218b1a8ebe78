#pragma once

namespace arcshard::head {

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
