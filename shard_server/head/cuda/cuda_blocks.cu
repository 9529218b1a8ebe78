#include "shard_server/head/arithmetic/optimizer_steps.h"
#include "shard_server/head/arithmetic/random_draws.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_launch.h"
#include "shard_server/head/cuda/cuda_octets.h"

// The kernels on one block of classes.
namespace arcshard::head {
namespace {

constexpr int kSamples = 128;  // columns of S for a block of threads, one thread for each column

// blockIdx.x: which samples; blockIdx.y: which tile of rows. A thread processes its column from the top of the tile to
// the bottom, so that neighbouring threads read neighbouring floats and each thread computes its sum alone.
template <typename Q>
__global__ void ExponentialsKernel(NegativeExponential exponential, ExponentialsArguments arguments, Q* q) {
  const int64_t sample = static_cast<int64_t>(blockIdx.x) * kSamples + threadIdx.x;
  if (sample >= arguments.samples) return;
  const int64_t first = blockIdx.y * kTileRows;
  const int64_t last = min(first + kTileRows, arguments.range.size);
  const int64_t own = arguments.own[sample] - arguments.range.begin;
  float sum = 0.0f;
  for (int64_t row = first; row < last; ++row) {
    const NegativeTerm term = exponential(arguments.s[row * arguments.stride + sample], arguments.inverse_norms[row]);
    if (row != own) sum += term.p;
    q[row * arguments.stride + sample] = Nearest<Q>(row == own ? 0.0f : term.q);
  }
  arguments.tile_sums[blockIdx.y * arguments.stride + sample] = sum;
}

// One warp for each sample. A thread for each would read the tiles one after the other while the device waits for it.
__global__ void AddTileSumsKernel(int64_t tiles, int64_t samples, int64_t stride, const float* tile_sums,
                                  double* sums) {
  const int64_t sample = GlobalWarp();
  if (sample >= samples) return;
  double sum = 0.0;
  for (int64_t tile = Lane(); tile < tiles; tile += kWarp)
    sum += static_cast<double>(tile_sums[tile * stride + sample]);
  sum = WarpSum(sum);
  if (Lane() == 0) sums[sample] += sum;
}

// One warp for each target. The first warp of the targets that share a row adds all of them, in their order.
__global__ void AddTargetsKernel(TargetsArguments a) {
  int64_t target = GlobalWarp();
  if (target >= a.targets) return;
  const int64_t position = a.positions[target];
  const int64_t row = position - a.range.begin;
  if (row < 0 || row >= a.range.size || (target > 0 && a.positions[target - 1] == position)) return;
  const float inverse_norm = a.inverse_norms[a.active[position]];
  for (; target < a.targets && a.positions[target] == position; ++target) {
    const int64_t sample = a.samples[target];
    const float factor = a.t[sample] * inverse_norm;
    for (int64_t d = Lane(); d < a.dim; d += kWarp) a.h[row * a.dim + d] += factor * a.unit[sample * a.dim + d];
  }
}

// The random bits that round eight values of a row (an octet). float32 values need none.
template <typename T>
struct OctetBits {
  __device__ OctetBits(const RoundingBits&, uint64_t, int64_t, int64_t, Rounded) {}
  __device__ uint32_t operator[](int) const { return 0; }
};
template <>
struct OctetBits<Bfloat16> {
  std::array<uint32_t, 4> words;
  __device__ OctetBits(const RoundingBits& bits, uint64_t step, int64_t j, int64_t octet, Rounded what)
      : words(bits.Words(step, j, octet, what)) {}
  __device__ uint32_t operator[](int i) const { return RoundingBits::Of(words, i); }
};

// One warp for each row: first H·w, then the optimizer's step, which finds H and w in the cache.
template <typename Step, typename W, typename V>
__global__ void UpdateKernel(Step step, RoundingBits bits, UpdateArguments a, W* weights, V* moments0, V* moments1) {
  const int64_t i = GlobalWarp();
  if (i >= a.range.size) return;
  const int64_t row = a.active[a.range.begin + i];
  const float* const h = a.h + i * a.dim;
  W* const w = weights + row * a.dim;
  V* const v0 = moments0 + row * a.dim;
  V* const v1 = moments1 + row * a.dim;

  float dot = 0.0f;
  for (int64_t d = Lane(); d < a.dim; d += kWarp) dot += h[d] * Widen(w[d]);
  const float inverse_norm = a.inverse_norms[row];
  const float radial = WarpSum(dot) * inverse_norm * inverse_norm;
  const uint32_t count = a.counts == nullptr ? 0 : a.counts[row] + 1;
  const typename Step::OfClass of_class = step.ForClass(count);

  const int64_t j = a.first_class + row;
  float square = 0.0f;
  ForEachOctet(a.dim, [&](int64_t d, int dims) {
    const int64_t octet = d / kDims;
    alignas(16) float h8[kDims] = {};
    alignas(16) W w8[kDims] = {};
    alignas(16) V v8[kDims] = {};
    alignas(16) V second8[kDims] = {};
    LoadOctet(h + d, dims, h8);
    LoadOctet(w + d, dims, w8);
    LoadOctet(v0 + d, dims, v8);
    if (Step::kMoments == 2) LoadOctet(v1 + d, dims, second8);
    const OctetBits<W> of_weight(bits, a.step, j, octet, Rounded::kWeight);
    const OctetBits<V> of_moment0(bits, a.step, j, octet, Rounded::kMoment0);
    const OctetBits<V> of_moment1(bits, a.step, j, octet, Rounded::kMoment1);
#pragma unroll
    for (int k = 0; k < kDims; ++k) {
      const RandomOfElement random = {of_weight[k], of_moment0[k], of_moment1[k]};
      step(of_class, {h8[k], radial}, w8[k], v8[k], second8[k], random);
    }
    AddSquares(w8, dims, &square);
    StoreOctet(w8, dims, w + d);
    StoreOctet(v8, dims, v0 + d);
    if (Step::kMoments == 2) StoreOctet(second8, dims, v1 + d);
  });
  square = WarpSum(square);
  if (Lane() != 0) return;
  a.inverse_norms[row] = InverseNorm(square);
  if (a.counts != nullptr) a.counts[row] = count;
}

template <typename Step>
cudaError_t Update(const Step& step, const UpdateArguments& arguments, cudaStream_t stream) {
  const RoundingBits bits(arguments.seed);
  return WithType(arguments.w, [&]<typename W>(W* w) {
    return WithType(arguments.moment0, [&]<typename V>(V* moment0) {
      return LaunchWarps(UpdateKernel<Step, W, V>, arguments.range.size, stream, step, bits, arguments, w, moment0,
                         static_cast<V*>(arguments.moment1.data));
    });
  });
}

}  // namespace

cudaError_t Exponentials(const NegativeExponential& exponential, const ExponentialsArguments& arguments,
                         cudaStream_t stream) {
  if (arguments.samples == 0 || arguments.range.size == 0) return cudaSuccess;
  const dim3 grid(static_cast<unsigned>((arguments.samples + kSamples - 1) / kSamples),
                  static_cast<unsigned>(TilesOf(arguments.range.size)));
  return WithType(arguments.q, [&]<typename Q>(Q* q) {
    return Launch(ExponentialsKernel<Q>, grid, kSamples, stream, exponential, arguments, q);
  });
}

cudaError_t AddTileSums(int64_t tiles, int64_t samples, int64_t stride, const float* tile_sums, double* sums,
                        cudaStream_t stream) {
  return LaunchWarps(AddTileSumsKernel, samples, stream, tiles, samples, stride, tile_sums, sums);
}

cudaError_t AddTargets(const TargetsArguments& arguments, cudaStream_t stream) {
  return LaunchWarps(AddTargetsKernel, arguments.targets, stream, arguments);
}

cudaError_t UpdateRows(const SgdOptions& options, float lr, const UpdateArguments& arguments, cudaStream_t stream) {
  return Update(SgdStep(options, lr), arguments, stream);
}

cudaError_t UpdateRows(const AdamWOptions& options, float lr, const UpdateArguments& arguments, cudaStream_t stream) {
  return Update(AdamWStep(options, lr), arguments, stream);
}

}  // namespace arcshard::head
