#pragma once

// Marks what both the CPU's loops and a GPU's kernels call.
#ifdef __CUDACC__
#define ARCSHARD_HOST_DEVICE __host__ __device__
#else
#define ARCSHARD_HOST_DEVICE
#endif
