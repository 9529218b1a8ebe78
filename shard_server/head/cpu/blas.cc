#include "shard_server/head/cpu/blas.h"

#include <dlfcn.h>

namespace arcshard::head {
namespace {

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

SingleThreadedBlas::SingleThreadedBlas()
    : mkl_threads_before_(SetMklThreads(1)), omp_threads_before_(SetOmpThreads(1)) {}

SingleThreadedBlas::~SingleThreadedBlas() {
  SetMklThreads(mkl_threads_before_);  // 0 is MKL's "as for every thread"
  if (omp_threads_before_ > 0) SetOmpThreads(omp_threads_before_);
}

}  // namespace arcshard::head
