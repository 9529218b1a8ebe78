#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/supervision/first_failure.h"
#include "cli/supervision/process.h"
#include "cli/supervision/run_folder.h"
#include "common/base/clock.h"

namespace arcshard::cli {

// How arcshard train, the launcher, ends.
struct RunEnd {
  int status = 0;             // exit status
  std::string sentence = {};  // the error; empty: the run ended in order
};

// Supervises the processes of one run, so that none outlives it:
//
//   running ── a process fails ───────────────────► failing: the others have ending_grace ──────┐
//      ├────── the coordinator ends with status 0 ► leaving: the others have leaving_grace ─────┤
//      ├────── all others end with status 0 ──────► leaving: the coordinator has tidying_grace ─┼─► all are killed
//      └────── StopAtOnce, Dismiss ─────────────────────────────────────────────────────────────┘
//
// It has no thread: call Update when a child may have ended (SIGCHLD), and at deadline(). Not thread-safe. The
// destructor kills the processes that still run.
class Supervisor {
 public:
  struct Options {
    absl::Duration blame_window = absl::Seconds(1);    // see ChooseFailure
    absl::Duration ending_grace = absl::Seconds(5);    // after a failure, for the coordinator to end the others
    absl::Duration leaving_grace = absl::Seconds(30);  // after the coordinator's orderly end, for the others to end
    // For the coordinator after the others have ended: it may still delete old checkpoints and files of an earlier
    // model.
    absl::Duration tidying_grace = absl::Minutes(10);
  };

  // `clock` must outlive this.
  Supervisor(const Options& options, const Clock* clock) : options_(options), clock_(clock) {}

  void Add(Role role, uint32_t index, std::unique_ptr<Process> process, const std::string& log);

  void Update();
  MonotonicTime deadline() const { return deadline_; }

  // Stops the run in order: sends SIGTERM to the coordinator, which may have got one from elsewhere. Call it once the
  // coordinator handles SIGTERM.
  void Stop();
  // Kills all processes because the user wants the run to end now.
  void StopAtOnce();
  // Kills all processes because they have nothing left to do. The way they end is then no failure.
  void Dismiss();

  bool all_ended() const;
  bool coordinator_ended_in_order() const { return coordinator_ended_in_order_; }
  // Whether a process has failed; the others are about to end.
  bool failing() const { return failing_; }
  std::vector<RunningProcess> running() const;

  // Call it once all have ended. blamed: the pid that the coordinator's failure names (FailureDetails); 0: none.
  RunEnd End(int64_t blamed = 0) const;

 private:
  struct Child {
    Role role;
    uint32_t index;
    std::unique_ptr<Process> process;
    std::string log;
    bool ended = false;
    bool killed_by_us = false;
  };

  void NoteEnd(Child* child, const ProcessExit& exit);
  // How long the processes that still run may take to end; infinite: the run is not ending.
  absl::Duration GraceToLeave() const;
  void KillAll();

  const Options options_;
  const Clock* const clock_;
  std::vector<Child> children_;
  std::vector<EndedProcess> ended_;
  MonotonicTime deadline_ = MonotonicTime::InfiniteFuture();
  bool failing_ = false;
  bool leaving_ = false;
  bool coordinator_ended_in_order_ = false;
  bool stopped_at_once_ = false;
  bool dismissed_ = false;
};

}  // namespace arcshard::cli
