#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/clock.h"
#include "common/protocol/messages.h"
#include "coordinator/members/membership.h"
#include "coordinator/members/spares.h"
#include "coordinator/members/suspicions.h"
#include "coordinator/policy/schedule.h"
#include "coordinator/progress/recovery.h"
#include "coordinator/progress/run_status.h"
#include "coordinator/run/checkpoints.h"
#include "coordinator/run/run_options.h"
#include "coordinator/run/run_output.h"
#include "coordinator/run/run_state.h"
#include "coordinator/run/views.h"

namespace arcshard::coordinator {

// The run as the coordinator sees it: a state machine without threads, network or files. Inputs go in and outputs are
// drained: after each input, and after construction, the owner delivers what TakeOutputs returns. The outputs depend
// only on the inputs, their order and the clock. Not thread-safe.
//
//                 enough members               all have joined
//   Gathering ───────────────────► Joining ───────────────────► Training ◄────► Evaluating
//       │  ▲                                                        └── next = STOP ──┘
//       │  └── a member is lost, or let in, or all connect anew ◄── any of them       ▼
//       │                                                                          Stopping
//       └── stop requested before the run began ──► Ended(OK) ◄── all have finished ──┘
//
//   any of these but Ended ── a Failure, a member's message that makes no sense, max_skips in a row, a lost place that
//                             nobody takes within cluster.rejoin_timeout ──► Ended(error)
//
// A loss leads to a new view: it voids the step that is not decided and names the state that its members come to
// (choose_state.h). A coordinator that was started again learns that state from the members that come back. Who does
// not take part yet, a participant that has just registered or a stranger, ends its own stream at most. Ended closes
// every stream and is final.
class Run {
 public:
  using Options = RunOptions;

  // InvalidArgument: the configuration names an unknown schedule.
  static absl::Status Validate(const RunConfig& config) { return Schedule::Validate(config.schedule); }

  // `options.config` is valid. `clock` outlives the run.
  Run(Options options, const Clock* clock);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // --- Inputs

  // A message that is out of order or out of place closes its stream with the code that coordinator.proto names; such a
  // message of a member of the view ends the run.
  void Receive(Connection from, const ParticipantMessage& message);
  // A message that could not be decoded.
  void Refuse(Connection from, const absl::Status& status);
  // The stream has ended. `reason` is for people: "stream broken".
  void Disconnected(Connection from, absl::string_view reason);
  // Checks what depends only on time. Call it at least once a second.
  void Tick();
  // Ends the run in order after the step in progress; an evaluation is abandoned, and so is what workers check before
  // the first step. At once if the run has not begun; if it recovers, once it has.
  void RequestStop();
  // Takes a checkpoint after the step in progress, during an evaluation at once. `answer` is called once, when the
  // AnswerCheckpoint is delivered. Errors are those of coordinator.proto.
  void TakeCheckpoint(CheckpointAnswer answer);
  void CheckpointKept(uint64_t step, const absl::Status& status);  // the result of a CompleteCheckpoint

  // --- Outputs

  // What the inputs since the last call want done, in order.
  RunOutputs TakeOutputs() { return std::exchange(outputs_, {}); }

  RunStatus Status() const;
  RunStatus Overview() const;  // the same without members, which take by far the most time

  // Whether the sender of this stream has registered and belongs to the run, or waits as a spare.
  bool IsMember(Connection connection) const;

  // OK after an orderly end, else why the run failed; none while it runs.
  std::optional<absl::Status> result() const;

 private:
  absl::Status Handle(Connection from, const Registration& registration);
  absl::Status Handle(Connection from, const DatasetReport& report);
  absl::Status Handle(Connection from, const JoinedReport& report);
  absl::Status Handle(Connection from, const ReadyVote& vote);
  absl::Status Handle(Connection from, const EvaluationReport& report);
  absl::Status Handle(Connection from, const FailureReport& report);
  absl::Status Handle(Connection from, const FinishedReport& report);
  absl::Status Handle(Connection from, const HeartbeatReport& report);
  absl::Status Handle(Connection from, const CheckpointReport& report);
  absl::Status Handle(Connection from, const LeavingReport& report);
  absl::Status Handle(Connection from, const LostPeersReport& report);

  // run.cc: what all states have in common
  bool AtStart() const;
  bool TakesPart(const Member& member) const;
  absl::StatusOr<bool> IsCurrent(Connection from, const View& view, absl::string_view what);
  void Emit(RunOutput output) { outputs_.push_back(std::move(output)); }
  void Close(Connection connection, const absl::Status& status);
  void Broadcast(CoordinatorMessage message);
  void SendPulses(MonotonicTime now);

  // run_gathering.cc: who comes, and whether there are enough
  absl::StatusOr<Registration> OfThisRun(Registration registration) const;
  void MakeRoomFor(const Registration& registration);
  absl::Status Admit(Connection from, const Registration& registration);
  void SeatSpares();
  void GoOn();
  void CheckGathering(MonotonicTime now);

  // run_losses.cc: who goes
  void Out(Connection who, absl::string_view why, const absl::Status& closing);
  void Lose(Connection who, absl::string_view why);
  void Leave(Connection who, absl::string_view why);
  Gathering& Regather();
  void ConnectAnew(absl::string_view why);
  void CheckSilence(MonotonicTime now);
  void CheckSuspicions(MonotonicTime now);
  void Evict(const Seat& seat, absl::string_view why);

  // run_joining.cc: from the members of a view to its first step
  void BeginJoining();
  void Adopt(const Views::NextView& next);
  void Announce(const ViewAnnouncement& announcement);
  void InstallView(const SharedView& view);
  void LetIn();

  // run_steps.cc
  void Decide();
  void CountDecision(const FormedView& view, const StepVerdict& verdict, absl::Duration gathered_votes_for);
  Next NextAfter(const FormedView& view, bool wants_checkpoint) const;
  void Apply(const SharedView& view, const Next& next);

  // run_evaluations.cc
  void GoOnAfterEvaluation(const SharedView& view);
  void CountVerification(const EvaluationReport& report);
  void AbandonVerification();

  // run_checkpoints.cc
  void ResumeFrom(const ResumePoint& resume);
  void BeginCheckpoint(const FormedView& view);
  void CheckpointDuringEvaluation();
  bool BaseIsInUse() const;
  void SettleCheckpoints();
  void DeleteSupersededCheckpoints();

  // run_ends.cc
  bool MustStop() const { return stop_requested_ || leaver_.has_value(); }
  bool StopsForALeaver() const;
  void CheckStopping(MonotonicTime now);
  void EndIfAllIsDone();
  void Fail(const absl::Status& result);
  void End(absl::Status result, const absl::Status& closing);  // `closing`: of the members' streams

  // run_status.cc
  void ReportProgress() { Emit(ProgressNow()); }
  Progress ProgressNow() const;
  absl::Duration TimeLeft(const Progress& progress) const;
  std::string WaitingFor() const;

  const Options options_;
  const Clock* const clock_;
  const MonotonicTime started_;
  RunOutputs outputs_;

  RunState state_;
  Membership members_;
  Spares spares_;
  std::set<Connection> closed_;  // by the run: what is still on its way from there is ignored
  Views views_;
  Position at_;
  bool began_ = false, heard_stats_ = false;  // the members of a view have joined; a heartbeat since the last tick
  bool stop_requested_ = false;               // takes effect with the next decision
  // The first member that was told to end after it took part: it stops the run too, which is then to resume.
  std::optional<absl::Status> leaver_;
  MonotonicTime last_tick_, next_pulse_;
  Suspicions suspicions_;
  Recovery recovery_;
  std::optional<RecoverySummary> last_recovery_;
  Checkpoints checkpoints_;
  std::vector<std::pair<uint64_t, absl::Status>> kept_;  // results of CompleteCheckpoint, to be settled
  bool superseded_ = false;                              // checkpoints before base() are to be deleted
  Throughput throughput_;
  VerificationTimes verification_times_;
  uint64_t verification_images_ = 0;  // of all sets
  Progress progress_;  // the latest loss, learning rate, verification and the like; ProgressNow() adds the rest
};

}  // namespace arcshard::coordinator
