#pragma once

#include <cstdint>
#include <deque>

#include "absl/time/time.h"

namespace arcshard::shard {

// Weighs the steps of a replay log against its bounds: the memory that their inputs take, and the time that replaying
// them is predicted to take. Pure: it knows no clock and no records. Thread-compatible.
//
// Replaying a step takes one of pass 1's two products, and pass 2. So the prediction for a step that was computed here
// is half of its pass 1 and its pass 2, times a correction: how long replayed steps took here for each sample, divided
// by what the prediction is for each sample. A step that was replayed here will take as long again.
class LogBounds {
 public:
  struct Options {
    uint64_t bytes = 0;                                         // of the inputs in the log; 0: no log is kept
    absl::Duration recovery_target = absl::InfiniteDuration();  // for replaying the whole log
  };
  // What the next vote has to do.
  enum class Room {
    kEnough,
    kAwaitsCheckpoint,  // a bound is reached, and the checkpoint that is being written will release steps
    kNone,              // the memory is used up, and no checkpoint is being written
  };

  explicit LogBounds(const Options& options) : options_(options) {}

  // A step of so many samples was added to the log. Requires: it is later than those before.
  void Add(uint64_t step, uint64_t bytes, uint64_t samples);
  // The passes of a step in the log were measured; has no effect if the log has released it.
  void Computed(uint64_t step, absl::Duration pass_1, absl::Duration pass_2);
  void Replayed(uint64_t step, absl::Duration took);

  void ReleaseThrough(uint64_t step);
  void Clear() { steps_.clear(); }

  // Of all steps in the log. A step that was not measured counts as 0.
  absl::Duration replay_time() const { return SumAfter(0).time; }

  // Whether the steps after `step` reach half of a bound. `open_bytes`: of the step that is to be voted on.
  bool WantsCheckpoint(uint64_t step, uint64_t open_bytes) const;

  // The time is no reason to drop a log: a replay that takes longer than the target still loses no step.
  Room RoomFor(uint64_t open_bytes, bool checkpoint_is_being_written) const;

 private:
  struct Step {
    uint64_t step = 0;
    uint64_t bytes = 0;
    uint64_t samples = 0;
    absl::Duration time;  // measured if `replayed`, otherwise half of pass 1 and pass 2
    bool replayed = false;
  };
  struct Amount {
    uint64_t bytes = 0;
    absl::Duration time;
  };
  struct Measured {  // since the start, in steps that the log may have released
    absl::Duration time;
    uint64_t samples = 0;
  };

  Step* Find(uint64_t step);
  Amount SumAfter(uint64_t step) const;
  double correction() const;

  const Options options_;
  std::deque<Step> steps_;  // ascending
  Measured computed_;
  Measured replayed_;
};

}  // namespace arcshard::shard
