#include "bench/cuda_passes.h"

namespace arcshard::bench {
namespace {

using head::Bfloat16;
using head::DataType;
using head::Nearest;
using head::Values;
using head::Widen;

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;

template <typename W, typename M>
__global__ void Pass(int64_t size, W* w, M* v, M* second, const float* g, int64_t gradients) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < size; i += step) {
    const float gradient = g[i % gradients];
    const float moment = 0.9f * Widen(v[i]) + gradient;
    v[i] = Nearest<M>(moment);
    if (second != nullptr) second[i] = Nearest<M>(0.9f * Widen(second[i]) + gradient * gradient);
    w[i] = Nearest<W>(Widen(w[i]) - 0.1f * moment);
  }
}

template <typename W, typename M>
cudaError_t Launch(int64_t size, Values w, Values v, Values second, const float* g, int64_t gradients,
                   cudaStream_t stream) {
  const int64_t wanted = (size + kThreads - 1) / kThreads;
  const int blocks = static_cast<int>(wanted < kMostBlocks ? wanted : kMostBlocks);
  if (blocks == 0) return cudaSuccess;
  Pass<W, M><<<blocks, kThreads, 0, stream>>>(size, static_cast<W*>(w.data), static_cast<M*>(v.data),
                                              static_cast<M*>(second.data), g, gradients);
  return cudaGetLastError();
}

}  // namespace

cudaError_t StreamPass(int64_t size, Values w, Values v, Values second, const float* g, int64_t gradients,
                       cudaStream_t stream) {
  const auto launch = w.type == DataType::kFloat32
                          ? (v.type == DataType::kFloat32 ? Launch<float, float> : Launch<float, Bfloat16>)
                          : (v.type == DataType::kFloat32 ? Launch<Bfloat16, float> : Launch<Bfloat16, Bfloat16>);
  return launch(size, w, v, second, g, gradients, stream);
}

}  // namespace arcshard::bench
