#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/supervision/process.h"
#include "cli/train/announcement.h"
#include "cli/train/train.h"
#include "cli/train/watch_client.h"
#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "common/net/port_reservation.h"

namespace arcshard::bench {

// A run of real processes over loopback, as `arcshard train` starts them, whose processes are killed and started again
// by hand. Thread-compatible; it can't be used after an error. The destructor kills all.
class LocalRun {
 public:
  struct Options {
    std::string programs;                     // their folder
    std::string folder;                       // is deleted before and after
    std::string yaml;                         // the configuration, without run.folder
    std::vector<std::string> overrides = {};  // of it, section.key=value
    std::string trace = {};  // file for a trace of all processes, which MergeTrace makes; empty: there is none
    uint32_t shards = 2;
    uint32_t workers = 2;
  };

  // Returns once the run has decided a step. Errors name what does not start, or say how the run failed.
  static absl::StatusOr<std::unique_ptr<LocalRun>> Start(const Options& options);
  ~LocalRun();

  // Each kills a process with SIGKILL, or for Hang stops worker `index` until Continue, and returns how long it takes
  // until the next step is decided. A killed worker or coordinator is started again at once; the place of a killed
  // shard is a spare's, which AddSpare has started.
  absl::StatusOr<absl::Duration> KillWorker(uint32_t index);
  absl::StatusOr<absl::Duration> KillCoordinator();
  absl::StatusOr<absl::Duration> KillShard(uint32_t index);
  absl::StatusOr<absl::Duration> Hang(uint32_t index);
  // Lets it go on, and waits until it takes part again.
  absl::Status Continue(uint32_t index);

  // Starts a spare, and waits until the coordinator has it.
  absl::Status AddSpare();
  // Takes a checkpoint, and waits until it is complete.
  absl::Status TakeCheckpoint();
  // Waits until `steps` more steps are decided; returns the time that they took.
  absl::StatusOr<absl::Duration> AwaitSteps(uint64_t steps);

  // What shard `index` says replaying its log takes: arcshard_replay_seconds.
  absl::StatusOr<double> PredictedReplaySeconds(uint32_t index) const;
  // How the spare that became shard `index` has rebuilt its range, as its log says.
  struct Rebuild {
    double load_seconds = 0.0;    // from getting its place to holding the checkpoint's state
    double replay_seconds = 0.0;  // from there to the state of the run
    uint64_t steps = 0;           // replayed
  };
  absl::StatusOr<Rebuild> LastRebuild(uint32_t index) const;

  // Of the metric of that name, which may have its labels, as {direction="sent"}: its value in each shard and worker.
  absl::StatusOr<std::vector<double>> Metrics(const std::string& name) const;
  // The names and numbers of all processes: coordinator, shard-0, worker-0 and so on.
  std::vector<std::pair<std::string, pid_t>> Processes() const;

  // Kills all processes, and joins what they have traced: all but the last second. Nothing else may be called then.
  absl::Status MergeTrace();

  // Stops all processes, and lets them go on. Connections break if they are stopped for more than 5 s, which counts as
  // a recovery.
  void Pause();
  void Resume();
  double ProcessorSeconds() const;                  // that all have used
  uint64_t step() const { return latest_.step(); }  // the last decided one that was reported
  uint64_t recoveries() const { return latest_.recoveries(); }
  uint64_t checkpoints() const { return checkpoints_; }  // completed since the coordinator started

 private:
  struct Member {
    std::string name;  // of its log
    std::unique_ptr<cli::Process> process;
  };

  explicit LocalRun(const Options& options);
  absl::Status StartAll();
  absl::Status Launch(const std::string& program, cli::Process::Options process, Member* member);
  absl::Status LaunchShard(bool spare, Member* member);
  absl::Status LaunchCoordinator(bool again);
  std::string LogOf(const Member& member) const;

  // Waits for a report that `wanted` accepts.
  absl::StatusOr<v1::Progress> Await(absl::FunctionRef<bool(const v1::Progress&)> wanted);
  // Waits for the first step after a recovery that is not among the first `recoveries`.
  absl::StatusOr<absl::Duration> AwaitDecision(MonotonicTime since, uint64_t recoveries);
  template <typename Holds>
  absl::Status Poll(const std::string& what, const Holds& holds) const;
  // Unavailable: a process has ended that was not to.
  absl::Status CheckAlive() const;
  std::vector<const Member*> All() const;
  void SignalAll(int signal);
  void KillAll();

  const Options options_;
  const SystemClock clock_;
  RunConfig config_;
  cli::TrainOptions train_;
  std::optional<PortReservation> port_;  // the coordinator's
  cli::Announcement announcement_;
  std::string address_;  // the coordinator's
  Member coordinator_;
  std::vector<Member> shards_, workers_;
  std::optional<Member> spare_;
  uint32_t started_shards_ = 0;
  std::unique_ptr<cli::WatchClient> watch_;
  v1::Progress latest_;
  uint64_t checkpoints_ = 0;
};

}  // namespace arcshard::bench
