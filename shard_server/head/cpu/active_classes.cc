#include "shard_server/head/cpu/active_classes.h"

#include <algorithm>
#include <cassert>

namespace arcshard::head {

ActiveClasses::ActiveClasses(const HeadOptions& options)
    : range_(options.range),
      dim_(options.dim),
      threads_(options.threads),
      sampled_(options.sample_rate < 1.0),
      draw_(options.seed, options.sample_rate),
      blocks_(BlockPlan::Make(options.range.size(), options.dim, options.threads)),
      found_(static_cast<size_t>(options.threads)) {
  // A plan for fewer rows can have up to one block more for each thread.
  blocks_.blocks.reserve(blocks_.blocks.size() + static_cast<size_t>(threads_));
}

absl::Status ActiveClasses::Allocate() {
  return sampled_ ? active_.Reserve(range_.size(), "the list of classes that take part in a step") : absl::OkStatus();
}

void ActiveClasses::Choose(uint64_t step, const LabelSet& labels, WorkerPool& pool) {
  if (!sampled_) return;
  assert(pool.threads() == threads_ && active_.size() >= range_.size());
  // Each thread writes the rows that it finds in its part of the range to the same part of the list. The parts are then
  // moved together.
  const auto begin_of = [&](int64_t thread) { return range_.size() * thread / threads_; };
  pool.Run([&](int thread) {
    const int64_t first = begin_of(thread), last = begin_of(thread + 1);
    const absl::Span<const int64_t> targets = labels.InRange({range_.begin + first, range_.begin + last});
    auto target = targets.begin();
    int64_t* const begin = active_.data() + first;
    int64_t* next = begin;
    for (int64_t row = first; row < last; ++row) {
      const int64_t label = range_.begin + row;
      const bool is_target = target != targets.end() && *target == label;
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

int64_t ActiveClasses::PlaceOf(int64_t label) const {
  assert(range_.contains(label));
  const int64_t row = label - range_.begin;
  if (!sampled_) return row;
  const int64_t place = std::lower_bound(active_.data(), active_.data() + num_active_, row) - active_.data();
  assert(place < num_active_ && active_.data()[place] == row);
  return place;
}

}  // namespace arcshard::head
