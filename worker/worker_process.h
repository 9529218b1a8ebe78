#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/mailbox.h"
#include "common/base/device_name.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/security/security.h"

namespace arcshard::worker {

// What is local to a worker; all else is the run's configuration, which the coordinator hands out.
struct WorkerOptions {
  std::string coordinator;                         // host:port
  Security security;                               // of the ways to the coordinator and to the shards
  DeviceName device;                               // where the backbone computes
  std::string all_reduce_interface = "127.0.0.1";  // address of this host that the workers' all-reduce binds to; auto:
                                                   // the one by which it reaches the coordinator
  std::string data;                                // folder of the training set, where it is not at data.train
  absl::Duration connect_timeout = absl::Seconds(60);
};

// A worker's life: registers, trains step by step as the coordinator says, and leaves the backbone behind if it is the
// lowest-numbered one. Returns OK after an orderly end; otherwise the one sentence why not, which the coordinator has
// been told too. `mailbox` ends before this returns.
absl::Status RunWorker(const WorkerOptions& options, client::Mailbox* mailbox, WorkerMetrics* metrics);

}  // namespace arcshard::worker
