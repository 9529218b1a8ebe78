#include "bench/cuda_passes.h"

namespace arcshard::bench {
namespace {

using head::DataType;
using head::Nearest;

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;

template <typename W, typename M>
__global__ void Pass(StreamPassArguments a) {
  W* const w = static_cast<W*>(a.w.data);
  M* const v = static_cast<M*>(a.v.data);
  M* const second = static_cast<M*>(a.second.data);
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < a.size; i += step) {
    const float gradient = a.g[i % a.gradients];
    const float moment = 0.9f * Widen(v[i]) + gradient;
    v[i] = Nearest<M>(moment);
    if (second != nullptr) second[i] = Nearest<M>(0.9f * Widen(second[i]) + gradient * gradient);
    w[i] = Nearest<W>(Widen(w[i]) - 0.1f * moment);
  }
}

template <typename W, typename M>
cudaError_t Launch(const StreamPassArguments& arguments, cudaStream_t stream) {
  const int64_t wanted = (arguments.size + kThreads - 1) / kThreads;
  const int blocks = static_cast<int>(wanted < kMostBlocks ? wanted : kMostBlocks);
  if (blocks == 0) return cudaSuccess;
  Pass<W, M><<<blocks, kThreads, 0, stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace

cudaError_t StreamPass(const StreamPassArguments& arguments, cudaStream_t stream) {
  const bool wide_moments = arguments.v.type == DataType::kFloat32;
  const auto launch = arguments.w.type == DataType::kFloat32
                          ? (wide_moments ? Launch<float, float> : Launch<float, Bfloat16>)
                          : (wide_moments ? Launch<Bfloat16, float> : Launch<Bfloat16, Bfloat16>);
  return launch(arguments, stream);
}

}  // namespace arcshard::bench
