#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "arcshard/v1/coordinator.pb.h"
#include "cli/display/progress_printer.h"
#include "cli/supervision/run_folder.h"
#include "cli/supervision/supervisor.h"
#include "cli/train/announcement.h"
#include "cli/train/train.h"
#include "cli/train/watch_client.h"
#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "common/program/signal_queue.h"

namespace arcshard::cli {

// One run of `arcshard train`: starts the coordinator, then the shards and workers once it listens, and serves events
// in one thread until all have ended: signals (the user's, and SIGCHLD), the coordinator's announcement, its progress
// reports, and the supervisor's deadlines. Not thread-safe.
class TrainRun {
 public:
  // signals: takes SIGINT and SIGTERM, SIGHUP and SIGPIPE of a terminal or reader that goes away, and SIGCHLD.
  TrainRun(const TrainOptions& options, const RunConfig& config, RunFolder folder,
           std::unique_ptr<SignalQueue> signals);

  // Call it once. Returns as Train in train.h.
  absl::StatusOr<int> Run();

 private:
  absl::Status StartCoordinator();
  absl::Status StartShardsAndWorkers();
  absl::Status Start(Role role, uint32_t index, Process::Options process);

  // Waits for the next event, or for the next deadline.
  void AwaitEvent();
  // Reads the announcement, and starts the shards and workers once the coordinator listens. DeadlineExceeded: it does
  // not listen in time.
  absl::Status TakeAddress();
  // The user wants to stop the run, or has left. SIGINT or SIGTERM: ends it at once if it is ending already.
  void Interrupt(int signal);
  // If the coordinator was stopped before the training began, kills members that still wait for it.
  void DismissWaitingMembers();

  void ShowReports();
  // Call it after the coordinator has ended: waits briefly for reports that are still on their way.
  void ShowLastReports();
  // Prints how the run has ended. Returns the exit status.
  int Conclude();
  void PrintFailure(const std::string& sentence, FailureCause cause);
  void PrintSummary();

  const TrainOptions options_;
  const RunConfig config_;
  const SystemClock clock_;
  RunFolder folder_;
  const std::unique_ptr<SignalQueue> signals_;
  ProgressPrinter printer_;
  Supervisor supervisor_;
  Announcement announcement_;
  MonotonicTime address_deadline_;      // for the coordinator to listen
  std::string address_;                 // the coordinator's host:port; empty: it does not listen yet
  bool interrupted_ = false;            // the run is being stopped in order
  bool told_ = false;                   // by a signal of which a second one ends it at once
  std::unique_ptr<WatchClient> watch_;  // null: the coordinator does not listen yet
  v1::Progress progress_;               // the last report
  MonotonicTime trains_since_ = MonotonicTime::InfiniteFuture();
};

}  // namespace arcshard::cli
