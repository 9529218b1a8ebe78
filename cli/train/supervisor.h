#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/train/first_failure.h"
#include "cli/train/process.h"
#include "cli/train/run_folder.h"
#include "common/base/clock.h"

namespace arcshard::cli {

// How a run ended for whoever called the launcher.
struct RunEnd {
  int status = 0;             // of the launcher
  std::string sentence = {};  // empty: in order
};

// Watches over the processes of one run, so that none outlives it:
//
//   running ── one fails ─────────────────────► failing: the others have ending_grace ─────┐
//      ├────── the coordinator has ended with 0 ► leaving: the others have leaving_grace ────┤
//      ├────── all others have ended with 0 ────► leaving: it has tidying_grace ─────────────┼─► all are killed
//      └────── KillAll, a second Stop ───────────────────────────────────────────────────────┘
//
// It takes no time by itself: call Update when a child may have ended (SIGCHLD) and at deadline(). Not thread-safe.
// All processes are dead when it is destroyed.
class Supervisor {
 public:
  struct Options {
    absl::Duration blame_window = absl::Seconds(1);    // see ChooseFailure
    absl::Duration ending_grace = absl::Seconds(5);    // for the coordinator to end the others after a failure
    absl::Duration leaving_grace = absl::Seconds(30);  // for the others to follow after an orderly end
    // For the coordinator after the others: it may still delete superseded checkpoints and an earlier model's files.
    absl::Duration tidying_grace = absl::Minutes(10);
  };

  // `clock` must outlive this.
  Supervisor(const Options& options, const Clock* clock) : options_(options), clock_(clock) {}

  void Add(Role role, uint32_t index, std::unique_ptr<Process> process, const std::string& log);

  void Update();
  absl::Time deadline() const { return deadline_; }

  // The user wants it to end. In order: SIGTERM to the coordinator; call it when that takes it for a request to stop.
  void Stop();
  // Now: all are killed.
  void StopAtOnce();
  // Whoever still runs has nothing to do any more: all are killed, and how they or others ended is no failure.
  void Dismiss();

  bool all_ended() const;
  bool coordinator_ended_in_order() const { return coordinator_ended_in_order_; }
  // Something failed; what still runs is about to end.
  bool failing() const { return failing_; }
  std::vector<RunningProcess> running() const;

  // Once all have ended. `blamed`: the pid that the coordinator's failure names (FailureDetails), 0: none.
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
  // Infinite: nobody is about to leave.
  absl::Duration GraceToLeave() const;
  void KillAll();

  const Options options_;
  const Clock* const clock_;
  std::vector<Child> children_;
  std::vector<EndedProcess> ended_;
  absl::Time deadline_ = absl::InfiniteFuture();
  bool failing_ = false;
  bool leaving_ = false;
  bool coordinator_ended_in_order_ = false;
  bool stopped_at_once_ = false;
  bool dismissed_ = false;
};

}  // namespace arcshard::cli
