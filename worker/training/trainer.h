#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "client/head_client.h"
#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "common/protocol/sample_plan.h"
#include "common/protocol/types.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/optimizer.h"
#include "worker/backbone/step_sums.h"
#include "worker/data/loader.h"
#include "worker/loss/margin_loss.h"
#include "worker/training/all_reduce/all_reduce.h"
#include "worker/training/sample_log.h"
#include "worker/training/worker_phases.h"
#include "worker/training/worker_state.h"

namespace arcshard::worker {

// A worker's vote about a step. Loss and cosine are means over the global batch, the same on every worker.
struct StepVote {
  bool finite = false;
  std::string reason;  // when not finite because of this worker: what was not
  double loss = 0.0;
  double target_cosine = 0.0;
  uint64_t corrupt_records = 0;  // found by this worker while it loaded the step; each counts once in the run
};

// A worker's place in a view and its connections to the other members.
struct ViewSeat {
  ViewAnnouncement view;
  size_t position = 0;  // of this worker among the view's workers
  client::HeadClient* head = nullptr;
  AllReduce* all_reduce = nullptr;
  // Is asked before each forward pass: not OK: the step is void, so nothing more is computed; null: it never is.
  std::function<absl::Status()> interruption = nullptr;
};

// The training of one worker, a step at a time (DESIGN §2): Compute returns a vote, Apply carries out the decision.
// Until then the step has changed nothing of the state: computed again, in this view or another, it gives the same
// bits. Not thread-safe; Compute ends early when the seat's head client or all-reduce is aborted.
class Trainer {
 public:
  struct Parts {
    std::unique_ptr<Backbone> backbone = nullptr;
    std::unique_ptr<MarginLoss> loss = nullptr;
    std::unique_ptr<Loader> loader = nullptr;
    std::optional<SamplePlan> plan = std::nullopt;  // of the run; says what to load ahead
    const Clock* clock = nullptr;
    WorkerPhases* phases = nullptr;
    std::unique_ptr<SampleLog> samples = nullptr;  // lists the samples of what is computed; null: no list
  };
  // Requires all parts but `samples`. InvalidArgument: the backbone's embedding size is not the configuration's.
  static absl::StatusOr<std::unique_ptr<Trainer>> Create(const RunConfig& config, Parts parts);

  // Computes steps in this view from now on. A step that was computed, also in part, and not applied is void. The
  // connections of `seat` must be valid while Compute is called before the next Enter.
  void Enter(const ViewSeat& seat);

  // Runs forward pass, loss and backward pass of this worker's micro-batches, and sums over all workers. The result of
  // an earlier step is void from then on. Requires Enter. Errors of Loader::Next, HeadClient::Await,
  // AllReduce::Sum and the seat's interruption.
  absl::StatusOr<StepVote> Compute(const StepPlan& plan);

  // Commit: takes the optimizer step and the running statistics of the step that was computed last. Skip: discards
  // them. FailedPrecondition: the decision is about another step.
  absl::Status Apply(const Decision& decision);

  // Between Apply and Compute this is the state after a whole step; it may be copied or replaced then.
  WorkerState state() { return {parts_.backbone.get(), optimizer_.get(), parts_.loss->averages()}; }

  Backbone* backbone() { return parts_.backbone.get(); }
  const Loader& loader() const { return *parts_.loader; }

 private:
  // A micro-batch between its forward and its backward pass.
  struct InFlight {
    Key key;
    int64_t first_sample = 0;  // in the global batch
    std::unique_ptr<LoadedBatch> data;
    at::Tensor embedding;  // with its graph, on the backbone's device
    at::Tensor sent;       // its values on the CPU, as the shards get them
  };
  // A micro-batch that this worker computes.
  struct Share {
    uint32_t micro_batch;
    int64_t first_sample;
    int64_t size;
  };

  Trainer(const RunConfig& config, Parts parts);
  std::vector<Share> ShareOf(const StepPlan& plan) const;
  absl::Status Request(const StepPlan& plan);
  absl::Status LoadShare(const StepPlan& plan, std::vector<InFlight>* loaded);
  absl::Status Forward(InFlight* micro_batch);
  at::Tensor AsSent(const at::Tensor& embedding) const;
  absl::Status Backward(InFlight micro_batch);
  absl::StatusOr<StepVote> SumAndVote();
  void Blame(std::string reason);  // this worker makes the step not finite

  const RunConfig config_;
  Parts parts_;
  ViewSeat seat_;
  std::unique_ptr<StepSums> sums_;
  std::unique_ptr<Optimizer> optimizer_;

  // The step that is being computed, or that was computed last.
  StepPlan plan_;
  std::string blame_;                          // the first value of this worker that was not finite
  absl::flat_hash_set<int64_t> corrupt_here_;  // its corrupt samples that no step before it had
  at::Tensor reduced_;  // the sums over all workers, clipped; undefined: no step waits for its decision

  absl::flat_hash_set<int64_t> corrupt_;  // corrupt samples of decided steps
  absl::flat_hash_set<int64_t> logged_;   // corrupt samples that were logged
  uint64_t requested_ = 0;                // the last step whose data was requested of the loader
};

}  // namespace arcshard::worker
