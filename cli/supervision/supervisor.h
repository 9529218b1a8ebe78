#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/supervision/first_failure.h"
#include "cli/supervision/process.h"
#include "cli/supervision/restart_policy.h"
#include "cli/supervision/run_folder.h"
#include "common/base/clock.h"

namespace arcshard::cli {

// How arcshard train, the launcher, ends.
struct RunEnd {
  int status = 0;             // exit status
  std::string sentence = {};  // the error; empty: the run ended in order
};

// Supervises the processes of one run, so that none outlives it, and starts those again that die while it lives:
//
//   running ── a death that is answered by a restart ► running: another life begins when the policy says so
//      ├────── a process fails otherwise ─────────► failing: the others have ending_grace ──────┐
//      ├────── the coordinator ends with status 0 ► leaving: the others have leaving_grace ─────┤
//      ├────── all others end with status 0 ──────► leaving: the coordinator has tidying_grace ─┼─► all are killed
//      └────── StopAtOnce, Dismiss ─────────────────────────────────────────────────────────────┘
//
// It has no thread: call Update when a child may have ended (SIGCHLD), and at deadline(). Not thread-safe. The
// destructor kills the processes that still run.
class Supervisor {
 public:
  struct Options {
    absl::Duration blame_window = absl::Seconds(1);  // how soon a death explains other ends
    // After a failure, for the coordinator to end the others. After the coordinator's orderly end, for processes in a
    // later life: they may have been started too late to take part in it.
    absl::Duration ending_grace = absl::Seconds(5);
    absl::Duration leaving_grace = absl::Seconds(30);  // after the coordinator's orderly end, for the others to end
    // For the coordinator after the others have ended: it may still delete old checkpoints and files of an earlier
    // model.
    absl::Duration tidying_grace = absl::Minutes(10);
    RestartPolicy::Options restarts = {};
  };

  // Starts another life of the process `index` of `role`. why: a clause for its log. Must not call the supervisor.
  using Restart =
      std::function<absl::StatusOr<std::unique_ptr<Process>>(Role role, uint32_t index, const std::string& why)>;

  // `clock` must outlive this.
  Supervisor(const Options& options, const Clock* clock)
      : options_(options), clock_(clock), policy_(options.restarts) {}

  void Add(Role role, uint32_t index, std::unique_ptr<Process> process, const std::string& log);

  // From now on deaths are answered by restarts, as far as the policy allows. Before that a death ends the start. Call
  // it once the coordinator listens, so that another life of it can do so at the same address, and handles SIGTERM.
  void RestartBy(Restart restart) { restart_ = std::move(restart); }
  // Whether the latest report of the coordinator that runs says that the run is ending. Members that have ended in
  // order are then needed no more, and one that was started again may find that it has no part in the end.
  void NoteRunEnds(bool ends) { run_ends_ = ends; }

  void Update();
  // The next time at which to call Update.
  MonotonicTime deadline() const;

  // Stops the run in order: sends SIGTERM to the coordinator, which may have got one from elsewhere. Call it once the
  // coordinator handles SIGTERM.
  void Stop();
  // Kills all processes because the user wants the run to end now.
  void StopAtOnce();
  // Kills all processes because they have nothing left to do. The way they end is then no failure.
  void Dismiss();

  bool coordinator_runs() const;
  bool all_ended() const;  // and none will be started again
  bool coordinator_ended_in_order() const { return coordinator_ended_in_order_; }
  // Whether a process has failed; the others are about to end.
  bool failing() const { return failing_; }
  std::vector<RunningProcess> running() const;
  uint64_t restarts() const { return restarts_; }  // processes that were started again so far
  // Sentences about the deaths that the run has survived since the last call, and what follows from each.
  std::vector<std::string> TakeNews() { return std::exchange(news_, {}); }

  // Call it once all have ended. blamed: the pid that the coordinator's failure names (FailureDetails); 0: none.
  RunEnd End(int64_t blamed = 0) const;

 private:
  struct Child {
    Role role;
    uint32_t index;
    std::unique_ptr<Process> process;
    std::string log;
    bool ended = false;
    ProcessExit exit = {};  // once it has ended
    bool killed_by_us = false;
    uint64_t life = 1;                                       // counts the one that is about to begin
    std::optional<MonotonicTime> restart_at = std::nullopt;  // of that one; no value: none is about to begin
    std::string why = {};                                    // it begins
    uint64_t recalled_by = 1;                                // the last life of the coordinator that needed it again
  };

  void NoteEnd(Child* child, const ProcessExit& exit);
  // The process has ended by itself, and not in order: decides what follows, and completes `end`.
  void Judge(Child* child, EndedProcess* end);
  // Whether a member has ended because the coordinator had just died: one that had not registered yet does not wait.
  bool LostCoordinator(const EndedProcess& end) const;
  void Follow(const RestartPolicy::Verdict& verdict, Child* child, EndedProcess* end);
  void Fail(const EndedProcess& end);
  // The coordinator has ended in order: whoever had been started again too late to take part has not failed.
  void PardonLatecomers();
  void RecallMembers();
  void StartThoseDue();
  void CancelRestarts();
  const Child* Coordinator() const;
  EndedProcess EndOf(const Child& child) const;
  // How long the processes that still run may take to end; infinite: the run is not ending.
  absl::Duration GraceToLeave() const;
  void KillAll();

  const Options options_;
  const Clock* const clock_;
  RestartPolicy policy_;
  Restart restart_;
  std::vector<Child> children_;
  std::vector<EndedProcess> ended_;
  std::vector<std::string> news_;
  MonotonicTime kill_at_ = MonotonicTime::InfiniteFuture();
  std::optional<MonotonicTime> leaving_since_;
  uint64_t restarts_ = 0;
  bool run_ends_ = false;
  bool failing_ = false;
  bool killed_ = false;
  bool coordinator_ended_in_order_ = false;
  bool stopped_at_once_ = false;
  bool dismissed_ = false;
};

}  // namespace arcshard::cli
