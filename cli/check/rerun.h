#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/check/rerun_shard.h"
#include "cli/check/run_history.h"
#include "cli/check/step_comparison.h"
#include "client/head_client.h"
#include "common/base/clock.h"
#include "common/metrics/metric_list.h"
#include "shard_server/head/head.h"
#include "worker/data/dataset.h"
#include "worker/training/all_reduce/all_reduce.h"
#include "worker/training/all_reduce/rendezvous.h"
#include "worker/training/trainer.h"
#include "worker/training/worker_phases.h"
#include "worker/training/worker_state.h"

namespace arcshard::cli {

// Runs the backbone again as the run has: as many workers and shards as each view had, with the workers' trainer and
// all-reduce and the shards' state machines, in threads of this process. What workers send is compared with the
// records. Not thread-safe.
class Rerun {
 public:
  struct Options {
    const RunHistory* history = nullptr;  // of a run with run.deterministic
    std::string data;                     // the training set, where it is not at data.train; empty: it is
    const Clock* clock = nullptr;
  };
  // The workers hold the state in which the history starts. What the pointers name outlives the rerun.
  // FailedPrecondition: it is not the run's training set. Other errors are those of what a worker opens and restores.
  static absl::StatusOr<std::unique_ptr<Rerun>> Create(const Options& options);
  ~Rerun();

  // Computes the next step of the history and carries out its decision. Returns the first difference from the record;
  // empty: there is none. After a difference the state is of no use. whole: a head with all classes, which holds the
  // state before the step. Errors as of Trainer::Compute and ShardState.
  absl::StatusOr<std::string> Step(const shard::RecordedStep& step, const head::Head& whole);

  // Of all workers.
  worker::WorkerState state() const { return workers_[0].trainer->state(); }

 private:
  struct Worker {
    std::unique_ptr<client::HeadClient> head = nullptr;
    std::unique_ptr<worker::AllReduce> all_reduce = nullptr;
    std::unique_ptr<worker::Trainer> trainer = nullptr;
  };

  explicit Rerun(const Options& options);
  absl::Status Open();
  absl::StatusOr<std::unique_ptr<worker::Trainer>> MakeTrainer(bool first);
  absl::Status Enter(const shard::RecordedStep& step, const head::Head& whole);
  absl::Status StartShards(const head::Head& whole);
  absl::Status StartWorkers();
  absl::Status Connect(size_t position);
  absl::Status Compute(const StepPlan& plan);
  // Runs `work` for each worker on a thread of its own, until all have returned. An error of one ends the others'
  // waits.
  absl::Status OnAllWorkers(const std::function<absl::Status(size_t)>& work);

  const Options options_;
  RunConfig config_;
  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
  worker::WorkerPhases phases_{&metrics_};
  std::unique_ptr<worker::Dataset> dataset_;
  std::unique_ptr<worker::Rendezvous> rendezvous_;
  StepComparison comparison_;
  ViewAnnouncement view_;  // of the last step
  std::vector<std::unique_ptr<RerunShard>> shards_;
  std::vector<Worker> workers_;  // destroyed before the shards, to which they have links
};

}  // namespace arcshard::cli
