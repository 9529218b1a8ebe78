#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "arcshard/v1/coordinator.pb.h"
#include "cli/display/progress_printer.h"
#include "cli/supervision/run_folder.h"
#include "cli/supervision/supervisor.h"
#include "cli/train/announcement.h"
#include "cli/train/run_summary.h"
#include "cli/train/train.h"
#include "cli/train/watch_client.h"
#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "common/net/port_reservation.h"
#include "common/program/signal_queue.h"

namespace arcshard::cli {

// One run of `arcshard train`: starts the coordinator, then the shards and workers once it listens, starts those again
// that die, and serves events in one thread until all have ended: signals (the user's, and SIGCHLD), the coordinator's
// announcement, its progress reports, and the supervisor's deadlines. Not thread-safe.
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
  // Starts another life of a process that has died. why: a clause for its log.
  absl::StatusOr<std::unique_ptr<Process>> StartAgain(Role role, uint32_t index, const std::string& why);
  absl::StatusOr<std::unique_ptr<Process>> StartCoordinatorAgain(const std::string& why);
  absl::StatusOr<std::unique_ptr<Process>> Launch(Role role, uint32_t index, Process::Options process);

  // Waits for the next event, or for the next deadline.
  void AwaitEvent();
  // Reads the announcement, and starts the shards and workers once the coordinator listens; in a later life of the
  // coordinator, follows its reports. DeadlineExceeded: it does not listen in time.
  absl::Status TakeAddress();
  // Tells the user, and the launcher's log, of deaths that the run survives, and keeps the list of processes right.
  void TellNews();
  // The user wants to stop the run, or has left. SIGINT or SIGTERM: ends it at once if it is ending already.
  void Interrupt(int signal);
  // If the coordinator was stopped before the training began, kills members that still wait for it.
  void DismissWaitingMembers();

  void ShowReports();
  // Call it after the coordinator has ended: waits briefly for reports that are still on their way.
  void ShowLastReports();
  // Joins what the processes have traced. That it fails does not change how the run has ended.
  void MergeTrace();
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
  std::optional<PortReservation> port_;  // where all lives of the coordinator listen
  Announcement announcement_;
  std::string kept_config_;               // path of the configuration with which a later coordinator begins
  bool listens_ = false;                  // the coordinator, in its present life
  MonotonicTime address_deadline_;        // for it to listen
  std::string address_;                   // its host:port, the same in all its lives; empty: it has not listened yet
  bool interrupted_ = false;              // the run is being stopped in order
  bool told_ = false;                     // by a signal of which a second one ends it at once
  std::unique_ptr<WatchClient> watch_;    // null: the coordinator does not listen yet
  uint64_t listed_restarts_ = 0;          // that the list of processes shows
  v1::Progress progress_;                 // the last report
  RecoveryTally recoveries_;              // over all lives of the coordinator
  std::optional<uint64_t> resumed_step_;  // of the first report
  MonotonicTime trains_since_ = MonotonicTime::InfiniteFuture();
};

}  // namespace arcshard::cli
