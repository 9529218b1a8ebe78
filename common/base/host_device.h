#pragma once

// Marks functions that both the CPU's code and the GPU's kernels call.
#ifdef __CUDACC__
#define ARCSHARD_HOST_DEVICE __host__ __device__
#else
#define ARCSHARD_HOST_DEVICE
#endif
