#include "shard_server/head/step_plan.h"

#include <algorithm>

namespace arcshard::head {

StepPlan::StepPlan(const HeadOptions& options)
    : range_(options.range),
      dim_(options.dim),
      threads_(options.threads),
      sampled_(options.sample_rate < 1.0),
      draw_(options.seed, options.sample_rate),
      blocks_(BlockPlan::Make(options.range.size(), options.dim, options.threads)),
      found_(static_cast<size_t>(options.threads)) {
  // A plan of fewer rows may have no fewer blocks, by one for each thread.
  blocks_.blocks.reserve(blocks_.blocks.size() + static_cast<size_t>(threads_));
}

absl::Status StepPlan::Allocate() {
  return sampled_ ? active_.Reserve(range_.size(), "the list of classes that take part in a step") : absl::OkStatus();
}

bool StepPlan::Unannounced(int64_t label) const {
  return sampled_ && !std::binary_search(labels_.begin(), labels_.end(), label);
}

void StepPlan::Choose(uint64_t step, absl::Span<const int64_t> labels, WorkerPool& pool) {
  if (!sampled_) return;
  labels_.assign(labels.begin(), labels.end());
  std::sort(labels_.begin(), labels_.end());
  labels_.erase(std::unique(labels_.begin(), labels_.end()), labels_.end());
  // Each thread writes what it finds in its part of the range to the same part of the list; then the parts close up.
  const auto begin_of = [&](int64_t thread) { return range_.size() * thread / threads_; };
  pool.Run([&](int thread) {
    int64_t* const begin = active_.data() + begin_of(thread);
    int64_t* next = begin;
    auto target = std::lower_bound(labels_.begin(), labels_.end(), range_.begin + begin_of(thread));
    for (int64_t row = begin_of(thread); row < begin_of(thread + 1); ++row) {
      const int64_t label = range_.begin + row;
      const bool is_target = target != labels_.end() && *target == label;
      target += is_target;
      if (is_target || draw_.TakesPart(step, label)) *next++ = row;
    }
    found_[static_cast<size_t>(thread)] = next - begin;
  });
  num_active_ = 0;
  for (int thread = 0; thread < threads_; ++thread) {
    const int64_t* const begin = active_.data() + begin_of(thread);
    std::copy(begin, begin + found_[static_cast<size_t>(thread)], active_.data() + num_active_);
    num_active_ += found_[static_cast<size_t>(thread)];
  }
  blocks_.Set(num_active_, dim_, threads_);
}

int64_t StepPlan::PlaceOf(int64_t label) const {
  const int64_t row = label - range_.begin;
  if (!sampled_) return row;
  return std::lower_bound(active_.data(), active_.data() + num_active_, row) - active_.data();
}

}  // namespace arcshard::head
