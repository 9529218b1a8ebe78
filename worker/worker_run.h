#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/abortable_slot.h"
#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/messages.h"
#include "common/rpc/security/security.h"
#include "worker/data/dataset.h"
#include "worker/inference/verifier.h"
#include "worker/training/checkpoint_writer.h"
#include "worker/training/model_keeper.h"
#include "worker/training/worker_phases.h"
#include "worker/view/view_connections.h"
#include "worker/view/view_joiner.h"
#include "worker/worker_protocol.h"

namespace arcshard::worker {

// A worker's data, state and files of a run, and the work on them that WorkerProtocol asks for. It talks to shards and
// other workers, but not to the coordinator. Not thread-safe.
class WorkerRun {
 public:
  // What the pointers point to, and what the functions need, outlives the run.
  struct Options {
    std::string config_yaml;  // the coordinator's
    std::string data = {};    // folder of the training set, where it is not at data.train
    at::Device device = at::kCPU;
    Security security = {};  // of the connections to the shards
    std::string interface;   // that the workers' all-reduce binds to
    const Clock* clock = nullptr;
    WorkerMetrics* metrics = nullptr;
    Verifier* verifier = nullptr;
    client::AbortableSlot<ViewConnections>* connections = nullptr;  // what aborts it ends the work that waits
    std::function<absl::Status()> interruption = nullptr;           // not OK: what is being done is void
    std::function<void(const CheckpointReport&)> report = nullptr;  // of a part of a checkpoint; from any thread
  };

  // OpenData. Errors of ParseRunConfig, OpenDataset and LoadVerificationSets.
  static absl::StatusOr<std::unique_ptr<WorkerRun>> Open(Options options);

  const RunConfig& config() const { return config_; }
  DatasetReport dataset() const;

  // JoinView. `heed` is asked while the verification sets are checked: Cancelled abandons only the check, unless there
  // is an interruption. `restored`: see ViewJoiner. Errors of Verifier::Check and ViewJoiner::Join.
  struct Joined {
    uint64_t verification_images = 0;  // of this worker's share
    double seconds = 0.0;              // see ViewJoiner::Join
  };
  absl::StatusOr<Joined> Join(const WorkerProtocol::JoinView& join, const ViewJoiner::Self& self,
                              const Verifier::Heed& heed, const std::function<void()>& restored);
  // Leaves the view, without another one.
  void Leave() { joiner_->Leave(); }

  // The other kinds of work, with the errors of Trainer, Verifier::Verify and ModelKeeper. Of an evaluation `heed` is
  // asked while it goes on; its error abandons it.
  absl::Status Apply(const Decision& decision);
  void Begin(const WorkerProtocol::BeginCheckpoint& begin);
  absl::StatusOr<ReadyVote> Compute(const StepPlan& plan);
  absl::StatusOr<Verifier::Reports> Evaluate(const WorkerProtocol::Evaluate& evaluate, const Verifier::Heed& heed);
  absl::Status Finish(const WorkerProtocol::FinishRun& finish);

 private:
  explicit WorkerRun(Options options);
  absl::Status OpenAll();
  void MakeJoiner();
  absl::Status CheckSets(const VerificationShare& share, const Verifier::Heed& heed);
  void ShowLoader(const Loader& loader);
  ModelKeeper::Moment MomentOf(uint64_t step) const { return {joiner_->seat().view.view, step}; }

  const Options options_;
  WorkerPhases phases_;
  RunConfig config_;
  std::unique_ptr<Dataset> dataset_;
  bool checked_ = false;  // the verification sets
  std::optional<ModelKeeper> models_;
  std::unique_ptr<ViewJoiner> joiner_;
  std::optional<MonotonicTime> voted_at_;  // about the last step
  uint64_t corrupt_records_ = 0;           // in the last step
  int64_t stalls_ = 0;                     // of the loader, as far as they are counted
  CheckpointWriter checkpoints_;           // destroyed first, since it reports
};

}  // namespace arcshard::worker
