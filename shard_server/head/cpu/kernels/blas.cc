#include "shard_server/head/cpu/kernels/blas.h"

#include <dlfcn.h>

namespace arcshard::head {
namespace {

// The function, or null where LibTorch was built without MKL or OpenMP.
template <typename Function>
Function* Loaded(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_DEFAULT, name));
}

// Returns the previous number of threads. The lower-case function of the same name is the one for Fortran.
int SetMklThreads(int threads) {
  static auto* const set = Loaded<int(int)>("MKL_Set_Num_Threads_Local");
  return set == nullptr ? 0 : set(threads);
}

// Sets the number of threads for parallel regions that this thread starts. Returns the previous number.
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
  SetMklThreads(mkl_threads_before_);  // 0 restores MKL's global setting
  if (omp_threads_before_ > 0) SetOmpThreads(omp_threads_before_);
}

}  // namespace arcshard::head
