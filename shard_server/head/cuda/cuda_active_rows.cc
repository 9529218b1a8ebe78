#include "shard_server/head/cuda/cuda_active_rows.h"

#include <algorithm>

#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"

namespace arcshard::head {

absl::Status CudaActiveRows::Find(const HeadOptions& options, uint64_t step, const LabelSet& labels,
                                  const CudaStream& stream) {
  const absl::Span<const int64_t> own_labels = labels.InRange(options.range);
  constexpr int64_t kIndex = sizeof(int64_t);
  const int64_t num_targets = static_cast<int64_t>(own_labels.size());
  const int64_t rows = options.range.size();
  const int64_t chunks = ChunksOf(rows);
  RETURN_IF_ERROR(host_.Reserve((num_targets + chunks) * kIndex, "a sampled step's targets on the host"));
  RETURN_IF_ERROR(targets_.Reserve(num_targets * kIndex, "a sampled step's targets"));
  RETURN_IF_ERROR(chunks_.Reserve(chunks * kIndex, "counts of the classes that take part"));
  int64_t* const host_targets = reinterpret_cast<int64_t*>(host_.data());
  int64_t* const host_chunks = host_targets + num_targets;

  std::transform(own_labels.begin(), own_labels.end(), host_targets,
                 [&](int64_t label) { return label - options.range.begin; });
  RETURN_IF_ERROR(stream.Copy(targets_.data(), host_targets, num_targets * kIndex));
  const SampledRows sampled = {SamplingDraw(options.seed, options.sample_rate),
                               step,
                               options.range.begin,
                               rows,
                               targets_.as<int64_t>(),
                               num_targets};
  RETURN_IF_ERROR(CUDA_STATUS(CountSampled(sampled, chunks_.as<int64_t>(), stream.get())));
  RETURN_IF_ERROR(stream.Copy(host_chunks, chunks_.data(), chunks * kIndex));
  RETURN_IF_ERROR(stream.Synchronize());

  size_ = 0;
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t count = host_chunks[chunk];
    host_chunks[chunk] = size_;
    size_ += count;
  }
  RETURN_IF_ERROR(list_.Reserve(size_ * kIndex, "the list of the classes that take part"));
  RETURN_IF_ERROR(stream.Copy(chunks_.data(), host_chunks, chunks * kIndex));
  RETURN_IF_ERROR(CUDA_STATUS(ListSampled(sampled, chunks_.as<int64_t>(), list_.as<int64_t>(), stream.get())));
  return stream.Synchronize();
}

}  // namespace arcshard::head
