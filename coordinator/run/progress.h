#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"

namespace arcshard::coordinator {

enum class Phase { kGathering, kJoining, kTraining, kEvaluating, kStopping, kFinished, kFailed };

// How far the run is. What is not known yet is 0.
struct Progress {
  Phase phase = Phase::kGathering;
  std::string waiting_for = {};  // kGathering, kJoining, kStopping: for whom; kFailed: the sentence
  uint64_t step = 0;             // last decided
  uint64_t steps = 0;
  double epoch = 0.0;  // fractional
  double epochs = 0.0;
  double loss = 0.0;  // of the last decided step
  double target_cosine = 0.0;
  double lr = 0.0;
  double samples_per_second = 0.0;  // over the last 32 steps, evaluations not counted
  double eta_seconds = 0.0;         // of the remaining steps at that rate
  uint64_t skipped = 0;
  uint64_t corrupt_records = 0;
  std::vector<VerificationReport> verification = {};  // the latest
  uint64_t verification_step = 0;
  double best_accuracy = 0.0;  // of all verifications so far, the mean over their sets
  uint64_t best_step = 0;
  uint64_t checkpoint_step = 0;         // of the last complete one
  uint64_t resumed_step = 0;            // that this life of the run began from
  std::string checkpoint_failure = {};  // why the latest failed; empty: it did not
};

// How a checkpoint ended.
struct CheckpointSummary {
  uint64_t step = 0;
  absl::Status status = absl::OkStatus();  // OK: it is complete
  uint64_t bytes = 0;                      // of its files but the manifest
  absl::Duration took;                     // from the decision
  absl::Time at;                           // when it ended
};

// One decided step.
struct StepSummary {
  uint64_t step = 0;
  Outcome outcome = Outcome::kCommit;
  uint64_t samples = 0;
  absl::Duration gathered_votes_for;  // from the first vote to the last
};

// Where Run leaves its reports, and events that people want to read of, in one sentence each. Called under the lock
// that guards Run: must not call back, must not block.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void Report(const Progress& progress) = 0;
  virtual void Note(const std::string& sentence) = 0;
  virtual void ViewFormed(const ViewAnnouncement& view) = 0;
  virtual void StepDecided(const StepSummary& step) = 0;
  virtual void CheckpointSettled(const CheckpointSummary& checkpoint) = 0;
};

// "epoch 1.25/12  step 17/100  loss 3.1416  cos 0.512  lr 0.0995  1234 samples/s  eta 1m5s  skipped 2": for logs.
std::string DescribeProgress(const Progress& progress);

// Samples per second over the last steps.
class Throughput {
 public:
  // A stretch of steps begins now: what passed since the last step (an evaluation, a wait) is not counted.
  void Resume(absl::Time now) { since_ = now; }
  void StepDone(absl::Time now, uint64_t samples);

  double samples_per_second() const;
  absl::Duration step_duration() const;  // mean

 private:
  struct Step {
    absl::Duration took;
    uint64_t samples = 0;
  };
  absl::Time since_;
  std::deque<Step> steps_;
};

}  // namespace arcshard::coordinator
