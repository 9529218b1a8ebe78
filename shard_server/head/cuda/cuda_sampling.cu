#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_launch.h"

// The kernels that find the classes that take part in a step.
namespace arcshard::head {
namespace {

// The first index in the sorted values[0, count) at which the value is not below `value`.
__device__ int64_t LowerBound(const int64_t* values, int64_t count, int64_t value) {
  int64_t begin = 0;
  while (count > 0) {
    const int64_t half = count / 2;
    if (values[begin + half] < value) {
      begin += half + 1;
      count -= half + 1;
    } else {
      count = half;
    }
  }
  return begin;
}

__device__ bool TakesPart(const SampledRows& sampled, int64_t row) {
  if (row >= sampled.rows) return false;
  if (sampled.draw.TakesPart(sampled.step, sampled.first_class + row)) return true;
  const int64_t place = LowerBound(sampled.targets, sampled.num_targets, row);
  return place < sampled.num_targets && sampled.targets[place] == row;
}

// One warp for each chunk of rows.
__global__ void CountKernel(SampledRows sampled, int64_t chunks, int64_t* counts) {
  const int64_t chunk = GlobalWarp();
  if (chunk >= chunks) return;
  int64_t count = 0;
  for (int64_t i = 0; i < kChunkRows; i += kWarp) {
    count += __popc(__ballot_sync(0xffffffffu, TakesPart(sampled, chunk * kChunkRows + i + Lane())));
  }
  if (Lane() == 0) counts[chunk] = count;
}

__global__ void ListKernel(SampledRows sampled, int64_t chunks, const int64_t* offsets, int64_t* list) {
  const int64_t chunk = GlobalWarp();
  if (chunk >= chunks) return;
  int64_t offset = offsets[chunk];
  for (int64_t i = 0; i < kChunkRows; i += kWarp) {
    const int64_t row = chunk * kChunkRows + i + Lane();
    const bool takes_part = TakesPart(sampled, row);
    const unsigned mask = __ballot_sync(0xffffffffu, takes_part);
    if (takes_part) list[offset + __popc(mask & ((1u << Lane()) - 1u))] = row;
    offset += __popc(mask);
  }
}

__global__ void PositionsKernel(int64_t active, const int64_t* list, int64_t count, const int64_t* rows,
                                int64_t* positions) {
  const int64_t i = GlobalThread();
  if (i < count) positions[i] = rows[i] < 0 ? -1 : LowerBound(list, active, rows[i]);
}

}  // namespace

cudaError_t CountSampled(const SampledRows& sampled, int64_t* counts, cudaStream_t stream) {
  const int64_t chunks = ChunksOf(sampled.rows);
  return LaunchWarps(CountKernel, chunks, stream, sampled, chunks, counts);
}

cudaError_t ListSampled(const SampledRows& sampled, const int64_t* offsets, int64_t* list, cudaStream_t stream) {
  const int64_t chunks = ChunksOf(sampled.rows);
  return LaunchWarps(ListKernel, chunks, stream, sampled, chunks, offsets, list);
}

cudaError_t PositionsOf(int64_t active, const int64_t* list, int64_t count, const int64_t* rows, int64_t* positions,
                        cudaStream_t stream) {
  return LaunchThreads(PositionsKernel, count, stream, active, list, count, rows, positions);
}

}  // namespace arcshard::head
