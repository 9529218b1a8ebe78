#include "shard_server/state/log/log_bounds.h"

#include <algorithm>
#include <cassert>

namespace arcshard::shard {

void LogBounds::Add(uint64_t step, uint64_t bytes, uint64_t samples) {
  assert(steps_.empty() || steps_.back().step < step);
  steps_.push_back({.step = step, .bytes = bytes, .samples = samples, .time = absl::ZeroDuration()});
}

void LogBounds::Computed(uint64_t step, absl::Duration pass_1, absl::Duration pass_2) {
  Step* const measured = Find(step);
  if (measured == nullptr) return;
  measured->time = pass_1 / 2 + pass_2;
  computed_.time += measured->time;
  computed_.samples += measured->samples;
}

void LogBounds::Replayed(uint64_t step, absl::Duration took) {
  Step* const measured = Find(step);
  if (measured == nullptr) return;
  measured->time = took;
  measured->replayed = true;
  replayed_.time += took;
  replayed_.samples += measured->samples;
}

void LogBounds::ReleaseThrough(uint64_t step) {
  while (!steps_.empty() && steps_.front().step <= step) steps_.pop_front();
}

bool LogBounds::WantsCheckpoint(uint64_t step, uint64_t open_bytes) const {
  const Amount amount = SumAfter(step);
  return amount.bytes + open_bytes >= options_.bytes / 2 || amount.time >= options_.recovery_target / 2;
}

LogBounds::Room LogBounds::RoomFor(uint64_t open_bytes, bool checkpoint_is_being_written) const {
  const Amount amount = SumAfter(0);
  const bool no_memory = amount.bytes + open_bytes > options_.bytes;
  if (checkpoint_is_being_written) {
    return no_memory || amount.time > options_.recovery_target ? Room::kAwaitsCheckpoint : Room::kEnough;
  }
  return no_memory ? Room::kNone : Room::kEnough;
}

LogBounds::Step* LogBounds::Find(uint64_t step) {
  const auto found = std::lower_bound(steps_.begin(), steps_.end(), step,
                                      [](const Step& one, uint64_t other) { return one.step < other; });
  return found == steps_.end() || found->step != step ? nullptr : &*found;
}

LogBounds::Amount LogBounds::SumAfter(uint64_t step) const {
  Amount sum;
  absl::Duration computed;
  for (auto one = steps_.rbegin(); one != steps_.rend() && one->step > step; ++one) {
    sum.bytes += one->bytes;
    (one->replayed ? sum.time : computed) += one->time;
  }
  sum.time += computed * correction();
  return sum;
}

double LogBounds::correction() const {
  if (replayed_.samples == 0 || computed_.samples == 0 || computed_.time <= absl::ZeroDuration()) return 1.0;
  return absl::FDivDuration(replayed_.time, computed_.time) * static_cast<double>(computed_.samples) /
         static_cast<double>(replayed_.samples);
}

}  // namespace arcshard::shard
