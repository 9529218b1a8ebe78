#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "coordinator/progress/recovery.h"

namespace arcshard::coordinator {

enum class Phase { kGathering, kJoining, kTraining, kEvaluating, kStopping, kFinished, kFailed, kRecovering };

// The run's progress. What is not known yet is 0.
struct Progress {
  Phase phase = Phase::kGathering;
  // kGathering, kJoining, kRecovering, kStopping: for whom it waits; kFailed: why it failed.
  std::string waiting_for = {};
  std::string losses = {};  // kRecovering: what was lost (Recovery::Losses); empty: nothing, somebody is let in
  uint64_t step = 0;        // last decided
  uint64_t steps = 0;
  double epoch = 0.0;  // fractional
  double epochs = 0.0;
  double loss = 0.0;  // the last decided step's, like the two below
  double target_cosine = 0.0;
  double lr = 0.0;
  double samples_per_second = 0.0;  // over the last 32 steps, without evaluations
  double eta_seconds = 0.0;         // for the remaining steps at that rate, and the verifications to come
  uint64_t skipped = 0;
  uint64_t corrupt_records = 0;
  std::vector<VerificationReport> verification = {};  // the latest
  uint64_t verification_step = 0;
  double best_accuracy = 0.0;  // the best mean over the sets of a verification so far
  uint64_t best_step = 0;
  uint64_t checkpoint_step = 0;           // of the last complete one; 0: none yet
  uint64_t resumed_step = 0;              // from which this life of the run began
  std::string checkpoint_failure = {};    // why the latest checkpoint failed; empty: it did not
  std::string verification_failure = {};  // why the latest verification is incomplete; empty: it is not
  // kEvaluating: how many images are embedded, of how many; 0 of 0: not known yet. kJoining: how many images of the
  // verification sets are checked; 0 of 0: none are being checked.
  uint64_t verified_images = 0;
  uint64_t images_to_verify = 0;
  uint64_t recoveries = 0;         // in this life of the coordinator
  std::string last_recovery = {};  // the sentence of the last one; empty: there was none
  uint64_t lost_steps = 0;         // by rollbacks, likewise
  bool recoverable = false;        // a shard that is lost now can be rebuilt without a rollback
};

// Whether the run is over, in order or not.
inline bool HasEnded(const Progress& progress) {
  return progress.phase == Phase::kFinished || progress.phase == Phase::kFailed;
}

// How a checkpoint ended.
struct CheckpointSummary {
  uint64_t step = 0;
  absl::Status status = absl::OkStatus();  // OK: it is complete
  uint64_t bytes = 0;                      // of its files without the manifest
  absl::Duration took;                     // since the decision that asked for it
};

// One decided step.
struct StepSummary {
  uint64_t step = 0;
  Outcome outcome = Outcome::kCommit;
  uint64_t samples = 0;
  absl::Duration gathered_votes_for;  // from the first vote to the last
};

// Receives a run's reports and events. Deliver (run_output.h) calls it under the lock that guards Run, so it must not
// block or call back.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  virtual void Report(const Progress& progress) = 0;
  virtual void Note(const std::string& sentence) = 0;  // for the log
  // For the log, too, but strangers may cause any number of these: somebody has registered, or has left before it took
  // part.
  virtual void CameOrWent(const std::string& sentence) = 0;
  virtual void ViewFormed(const ViewAnnouncement& view) = 0;
  virtual void StepDecided(const StepSummary& step) = 0;
  virtual void CheckpointSettled(const CheckpointSummary& checkpoint) = 0;
  // The run has lost something and goes on.
  virtual void Recovered(const RecoverySummary& recovery) = 0;
};

// The log's line: "epoch 1.25/12  step 17/100  loss 3.1416  cos 0.512  lr 0.0995  1234 samples/s  eta 1m5s  skipped 2".
std::string DescribeProgress(const Progress& progress);

// Measures samples per second over the last steps.
class Throughput {
 public:
  // Steps begin now; the time since the last step, in which the run evaluated or waited, does not count.
  void Resume(MonotonicTime now) { since_ = now; }
  void StepDone(MonotonicTime now, uint64_t samples);

  double samples_per_second() const;
  absl::Duration step_duration() const;  // mean

 private:
  struct Step {
    absl::Duration took;
    uint64_t samples = 0;
  };
  MonotonicTime since_;
  std::deque<Step> steps_;
};

// Estimates how long verifications take.
class VerificationTimes {
 public:
  void Begin(MonotonicTime now) { began_ = now; }
  void End(MonotonicTime now) { last_ = now - began_; }

  // The next one of `images` images: as long as the last one took; before there was one, what training at
  // `samples_per_second` lets expect.
  absl::Duration Expected(uint64_t images, double samples_per_second) const;
  // What is left of the one in progress, of whose images `done` are embedded. `expected`: what one takes.
  absl::Duration Left(MonotonicTime now, uint64_t done, uint64_t images, absl::Duration expected) const;

 private:
  MonotonicTime began_;
  std::optional<absl::Duration> last_;
};

}  // namespace arcshard::coordinator
