#include "bench/recovery/recovery_times.h"

#include <functional>
#include <memory>

#include "common/base/status_macros.h"

namespace arcshard::bench {
namespace {

class Measurement {
 public:
  Measurement(const RecoveryTimesOptions& options, LocalRun* run) : options_(options), run_(run) {}

  absl::StatusOr<RecoveryTimes> All() {
    ASSIGN_OR_RETURN(times_.worker, Repeat([&](uint32_t i) { return run_->KillWorker(i % options_.run.workers); }));
    ASSIGN_OR_RETURN(times_.coordinator, Repeat([&](uint32_t) { return run_->KillCoordinator(); }));
    ASSIGN_OR_RETURN(times_.hang, Repeat([&](uint32_t i) { return HangAndContinue(i % options_.run.workers); }));
    RETURN_IF_ERROR(MeasureShards());
    return times_;
  }

 private:
  absl::StatusOr<std::vector<double>> Repeat(const std::function<absl::StatusOr<absl::Duration>(uint32_t)>& fault) {
    std::vector<double> seconds;
    for (int i = 0; i < options_.repeats; ++i) {
      RETURN_IF_ERROR(run_->AwaitSteps(options_.steps_between).status());
      ASSIGN_OR_RETURN(const absl::Duration took, fault(static_cast<uint32_t>(i)));
      seconds.push_back(absl::ToDoubleSeconds(took));
    }
    return seconds;
  }

  absl::StatusOr<absl::Duration> HangAndContinue(uint32_t worker) {
    ASSIGN_OR_RETURN(const absl::Duration took, run_->Hang(worker));
    RETURN_IF_ERROR(run_->Continue(worker));
    return took;
  }

  absl::Status MeasureShards() {
    for (int i = 0; i < options_.repeats; ++i) {
      const uint32_t shard = static_cast<uint32_t>(i) % options_.run.shards;
      const uint32_t other = (shard + 1) % options_.run.shards;
      RETURN_IF_ERROR(run_->AddSpare());
      RETURN_IF_ERROR(run_->TakeCheckpoint());
      RETURN_IF_ERROR(run_->AwaitSteps(options_.steps_in_log).status());
      ASSIGN_OR_RETURN(const double predicted, run_->PredictedReplaySeconds(other));
      ASSIGN_OR_RETURN(const absl::Duration took, run_->KillShard(shard));
      ASSIGN_OR_RETURN(const LocalRun::Rebuild rebuild, run_->LastRebuild(shard));
      times_.shard.push_back(absl::ToDoubleSeconds(took));
      times_.load.push_back(rebuild.load_seconds);
      times_.replay.push_back(rebuild.replay_seconds);
      times_.predicted_replay.push_back(predicted);
      times_.replayed_steps += static_cast<double>(rebuild.steps) / options_.repeats;
    }
    return absl::OkStatus();
  }

  const RecoveryTimesOptions& options_;
  LocalRun* const run_;
  RecoveryTimes times_;
};

}  // namespace

absl::StatusOr<RecoveryTimes> MeasureRecovery(const RecoveryTimesOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalRun> run, LocalRun::Start(options.run));
  return Measurement(options, run.get()).All();
}

}  // namespace arcshard::bench
