#include "shard_server/head/arithmetic/random_draws.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_launch.h"
#include "shard_server/head/cuda/cuda_octets.h"

// The kernels on rows of the shard and on the samples of a pass.
namespace arcshard::head {
namespace {

// One thread for each four dimensions of a class.
template <typename W>
__global__ void FirstWeightsKernel(uint64_t seed, int64_t first_class, int64_t rows, int64_t dim, W* w) {
  const int64_t quads = (dim + 3) / 4, index = GlobalThread();
  if (index >= rows * quads) return;
  const int64_t row = index / quads, quad = index % quads;
  float values[4];
  FirstWeights(seed, first_class + row, quad, values);
  for (int i = 0; i < 4 && quad * 4 + i < dim; ++i) w[row * dim + quad * 4 + i] = Nearest<W>(values[i]);
}

// One warp for each row.
template <typename W>
__global__ void InverseNormsKernel(int64_t rows, int64_t dim, const W* w, float* inverse_norms) {
  const int64_t row = GlobalWarp();
  if (row >= rows) return;
  float square = 0.0f;
  ForEachOctet(dim, [&](int64_t d, int dims) {
    alignas(16) W values[kDims] = {};
    LoadOctet(w + row * dim + d, dims, values);
    AddSquares(values, dims, &square);
  });
  square = WarpSum(square);
  if (Lane() == 0) inverse_norms[row] = InverseNorm(square);
}

template <typename From, typename To>
__global__ void ConvertKernel(int64_t size, const From* in, To* out) {
  const int64_t i = GlobalThread();
  if (i < size) out[i] = Nearest<To>(Widen(in[i]));
}

// One warp for each position.
template <typename From, typename To>
__global__ void GatherKernel(GatherArguments a, const From* w, To* out) {
  const int64_t i = GlobalWarp();
  if (i >= a.range.size) return;
  const From* const row = w + a.active[a.range.begin + i] * a.dim;
  float square = 0.0f;
  ForEachOctet(a.dim, [&](int64_t d, int dims) {
    alignas(16) From from[kDims] = {};
    alignas(16) To to[kDims];
    LoadOctet(row + d, dims, from);
#pragma unroll
    for (int k = 0; k < kDims; ++k) to[k] = Nearest<To>(Widen(from[k]));
    AddSquares(to, dims, &square);
    StoreOctet(to, dims, out + i * a.dim + d);
  });
  square = WarpSum(square);
  if (Lane() == 0) a.inverse_norms[i] = InverseNorm(square);
}

// One warp for each sample. It computes in double because the square of an embedding's value can exceed the range of
// float32 where the value itself does not.
__global__ void UnitVectorsKernel(int64_t samples, int64_t dim, const float* e, float* unit, Bfloat16* narrow) {
  const int64_t i = GlobalWarp();
  if (i >= samples) return;
  double square = 0.0;
  for (int64_t d = Lane(); d < dim; d += kWarp) square += static_cast<double>(e[i * dim + d]) * e[i * dim + d];
  square = WarpSum(square);
  const double inverse_norm = square < 1e-24 ? 0.0 : 1.0 / std::sqrt(square);
  for (int64_t d = Lane(); d < dim; d += kWarp) {
    const float value = static_cast<float>(e[i * dim + d] * inverse_norm);
    unit[i * dim + d] = value;
    if (narrow != nullptr) narrow[i * dim + d] = RoundToNearest(value);
  }
}

template <typename To>
__global__ void ScaleRowsKernel(int64_t samples, int64_t dim, const float* factors, const float* unit, To* out) {
  const int64_t index = GlobalThread();
  if (index < samples * dim) out[index] = Nearest<To>(factors[index / dim] * unit[index]);
}

// One warp for each target.
template <typename W>
__global__ void OwnCentersKernel(OwnCentersArguments a, const W* w) {
  const int64_t target = GlobalWarp();
  if (target >= a.targets) return;
  const int64_t row = a.target_rows[target];
  for (int64_t d = Lane(); d < a.dim; d += kWarp) {
    a.own_centers[target * a.dim + d] = a.inverse_norms[row] * Widen(w[row * a.dim + d]);
  }
}

__global__ void NarrowSumsKernel(int64_t samples, const double* sums, float* z) {
  const int64_t i = GlobalThread();
  if (i < samples) z[i] = static_cast<float>(sums[i]);
}

}  // namespace

cudaError_t FillFirstWeights(uint64_t seed, int64_t first_class, int64_t rows, int64_t dim, Values w,
                             cudaStream_t stream) {
  return WithType(w, [&]<typename W>(W* weights) {
    return LaunchThreads(FirstWeightsKernel<W>, rows * ((dim + 3) / 4), stream, seed, first_class, rows, dim, weights);
  });
}

cudaError_t InverseNormsOfRows(int64_t rows, int64_t dim, ConstValues w, float* inverse_norms, cudaStream_t stream) {
  return WithType(w, [&]<typename W>(const W* weights) {
    return LaunchWarps(InverseNormsKernel<W>, rows, stream, rows, dim, weights, inverse_norms);
  });
}

cudaError_t Convert(int64_t size, ConstValues in, Values out, cudaStream_t stream) {
  return WithType(in, [&]<typename From>(const From* from) {
    return WithType(
        out, [&]<typename To>(To* to) { return LaunchThreads(ConvertKernel<From, To>, size, stream, size, from, to); });
  });
}

cudaError_t GatherRows(const GatherArguments& arguments, cudaStream_t stream) {
  return WithType(arguments.w, [&]<typename From>(const From* from) {
    return WithType(arguments.out, [&]<typename To>(To* to) {
      return LaunchWarps(GatherKernel<From, To>, arguments.range.size, stream, arguments, from, to);
    });
  });
}

cudaError_t UnitVectors(int64_t samples, int64_t dim, const float* e, float* unit, Bfloat16* narrow,
                        cudaStream_t stream) {
  return LaunchWarps(UnitVectorsKernel, samples, stream, samples, dim, e, unit, narrow);
}

cudaError_t ScaleRows(int64_t samples, int64_t dim, const float* factors, const float* unit, Values out,
                      cudaStream_t stream) {
  return WithType(out, [&]<typename To>(To* to) {
    return LaunchThreads(ScaleRowsKernel<To>, samples * dim, stream, samples, dim, factors, unit, to);
  });
}

cudaError_t OwnCenters(const OwnCentersArguments& arguments, cudaStream_t stream) {
  return WithType(arguments.w, [&]<typename W>(const W* w) {
    return LaunchWarps(OwnCentersKernel<W>, arguments.targets, stream, arguments, w);
  });
}

cudaError_t NarrowSums(int64_t samples, const double* sums, float* z, cudaStream_t stream) {
  return LaunchThreads(NarrowSumsKernel, samples, stream, samples, sums, z);
}

}  // namespace arcshard::head
