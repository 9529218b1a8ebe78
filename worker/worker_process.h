#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/departure.h"
#include "client/mailbox.h"
#include "common/base/clock.h"
#include "common/base/device_name.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/security/security.h"

namespace arcshard::worker {

// A worker's own options. Everything else is the run's configuration, which the coordinator hands out.
struct WorkerOptions {
  std::string coordinator;                         // host:port
  Security security;                               // of the connections to the coordinator and to the shards
  DeviceName device;                               // where the backbone computes
  std::string all_reduce_interface = "127.0.0.1";  // address of this host that the workers' all-reduce binds to; auto:
                                                   // the one by which it reaches the coordinator
  std::string data;                                // folder of the training set, where it is not at data.train
  absl::Duration connect_timeout = absl::Seconds(60);  // for the coordinator
  client::Departure* departure = nullptr;              // tells the run that this process was told to end
};

// Runs a worker: it registers, trains step by step as the coordinator decides (WorkerProtocol), and the worker with the
// lowest number writes the backbone. When it loses members of its view, or the coordinator, it keeps its state and
// waits for another view. Returns OK after a run that ended in order; otherwise the error that ended it, which the
// coordinator has been told too, if it could be. `mailbox` gets no event after this returns; all pointers outlive the
// call.
absl::Status RunWorker(const WorkerOptions& options, client::Mailbox* mailbox, const Clock* clock,
                       WorkerMetrics* metrics);

}  // namespace arcshard::worker
