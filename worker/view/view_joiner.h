#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/abortable_slot.h"
#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/security/security.h"
#include "worker/data/dataset.h"
#include "worker/training/trainer.h"
#include "worker/training/worker_phases.h"
#include "worker/view/view_connections.h"
#include "worker/worker_protocol.h"

namespace arcshard::worker {

// Brings a worker into a view, from the second view on out of another one: closes the connections of the view before,
// makes its own state that of the view, connects to the other members, and gives or takes a copy of the state. Owns the
// trainer, which it makes anew whenever the state begins from the base. Not thread-safe.
class ViewJoiner {
 public:
  struct Options {
    const RunConfig* config = nullptr;  // the pointers outlive the joiner
    const Dataset* dataset = nullptr;
    const Clock* clock = nullptr;
    WorkerPhases* phases = nullptr;
    WorkerMetrics* metrics = nullptr;
    client::AbortableSlot<ViewConnections>* connections = nullptr;  // what aborts it ends Join
    std::function<absl::Status()> interruption = nullptr;           // of the seat (trainer.h)
    Security security = {};                                         // of the connections to the shards
    std::string interface;                                          // that the all-reduce binds to
    at::Device device = at::kCPU;
  };
  explicit ViewJoiner(Options options);

  // Who this worker is to the shards.
  struct Self {
    uint32_t id = 0;
    std::string token;
  };

  // `restored` is called once, as soon as the view's state is held. Returns how many seconds it took to make or copy
  // the state; 0 where it was held. Errors of the trainer's parts (trainer_setup.h), of which those of the checkpoint
  // have the cause kCheckpointUnreadable where that is damaged; and of ViewConnections and ShareState.
  absl::StatusOr<double> Join(const WorkerProtocol::JoinView& join, const Self& self,
                              const std::function<void()>& restored);

  Trainer* trainer() { return trainer_.get(); }    // null before the first state
  const ViewSeat& seat() const { return seat_; }   // valid between two calls of Join
  void Leave() { options_.connections->Clear(); }  // the view, without another one

 private:
  // A trainer at its first weights. from_elsewhere: they are those of backbone.init and init_from, if these are set.
  absl::Status MakeTrainerFor(const ViewAnnouncement& view, uint32_t id, bool from_elsewhere);
  absl::Status TakeBase(const ViewAnnouncement& view, uint32_t id);
  absl::Status Connect(const WorkerProtocol::JoinView& join, const Self& self);

  const Options options_;
  std::unique_ptr<Trainer> trainer_;
  ViewSeat seat_;
};

}  // namespace arcshard::worker
