#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/token.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"
#include "coordinator/policy/device_leases.h"
#include "coordinator/policy/form_view.h"
#include "coordinator/policy/resume.h"
#include "coordinator/policy/schedule.h"
#include "coordinator/run/checkpoints.h"
#include "coordinator/run/connection.h"
#include "coordinator/run/membership.h"
#include "coordinator/run/progress.h"
#include "coordinator/run/run_counters.h"
#include "coordinator/run/run_output.h"
#include "coordinator/run/run_state.h"
#include "coordinator/run/run_status.h"

namespace arcshard::coordinator {

// The run as the coordinator sees it: a state machine without threads, network or files. Inputs go in and outputs are
// drained: after each input, and after construction, the owner delivers what TakeOutputs returns. The outputs depend
// only on the inputs, their order and the clock. Not thread-safe.
//
//   Gathering ── all have registered, data sets agree ──► Joining ── all have joined ──► Training ◄────► Evaluating
//       │                                                                                    └── next = STOP ──┘
//       │ stop requested                                                                               ▼
//       └──────────────────────────────────► Ended(OK) ◄── all have finished ── Stopping ◄─────────────┘
//
//   any of these but Ended ── a death, a Failure, a message out of order, max_skips in a row ──► Ended(error)
//
// As long as the run gathers, a death or a message out of order ends nothing: whoever it is leaves, and the seat is
// free again. A participant that restarts, or a stranger, does no harm then.
//
// The run has one view. Ended closes every stream and is final. How it works is in run.cc (gathering and joining),
// run_steps.cc (training and evaluating), run_life.cc (deaths and ends) and run_checkpoints.cc.
class Run {
 public:
  struct Options {
    RunConfig config;
    std::string config_yaml;  // the same, as participants get it
    uint64_t incarnation = 0;
    std::optional<ResumePoint> resume = std::nullopt;  // none: the run starts from step 0
    bool takes_checkpoints = false;                    // true: the owner delivers CompleteCheckpoint
    std::string version = {};                          // of arcshard, for manifests
    // How long members may take to finish after next = STOP. The time starts again while a checkpoint is in progress:
    // that takes as long as the disk needs, and a member that dies meanwhile is noticed by its silence.
    absl::Duration stop_timeout = absl::Minutes(10);
    // A participant that reports a lost peer often knows before the peer's own stream breaks here. The report waits
    // this long for the death, which explains better what happened.
    absl::Duration blame_grace = absl::Milliseconds(500);
    std::function<std::string()> new_token = NewToken;  // a secret for each participant
    LeaseHistory lease_history = {};                    // of the run's earlier lives
  };

  // InvalidArgument: the configuration names an unknown schedule.
  static absl::Status Validate(const RunConfig& config) { return Schedule::Validate(config.schedule); }

  // `options.config` is valid. `clock` outlives the run.
  Run(Options options, const Clock* clock);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // --- Inputs

  // A message that is out of order or out of place closes its stream with the code that coordinator.proto names; such a
  // message of a member ends the run, once there is a view.
  void Receive(Connection from, const ParticipantMessage& message);
  // A message that could not be decoded.
  void Refuse(Connection from, const absl::Status& status);
  // The stream has ended. `reason` is for people: "stream broken".
  void Disconnected(Connection from, absl::string_view reason);
  // Checks what depends only on time. Call it at least once a second.
  void Tick();
  // Ends the run in order after the step in progress; an evaluation is abandoned, and so is what workers check before
  // the first step. At once if there is no view yet.
  void RequestStop();
  // Takes a checkpoint after the step in progress, during an evaluation at once. `answer` is called once, when the
  // AnswerCheckpoint is delivered. Errors are those of coordinator.proto.
  void TakeCheckpoint(CheckpointAnswer answer);
  // The result of a CompleteCheckpoint.
  void CheckpointKept(uint64_t step, const absl::Status& status);

  // --- Outputs

  // What the inputs since the last call want done, in order.
  RunOutputs TakeOutputs() { return std::exchange(outputs_, {}); }

  RunStatus Status() const;

  // Whether the sender of this stream has registered and belongs to the run.
  bool IsMember(Connection connection) const { return members_.all().contains(connection); }

  // OK after an orderly end, else why the run failed; none while it runs.
  std::optional<absl::Status> result() const;

 private:
  // A lost peer that a participant has reported.
  struct Blame {
    absl::Status failure;
    MonotonicTime deadline;  // the run ends with `failure` unless a death ends it before
  };

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
  absl::Status CheckView(const View& view, absl::string_view what) const;

  // run.cc
  void BeginJoiningIfComplete();
  void BeginJoining();
  ViewInputs InputsOfView() const;
  void Announce(const ViewAnnouncement& announcement);

  // run_steps.cc
  void BeginTraining(const SharedView& view);
  void Decide();
  void Continue(const SharedView& view, const Next& next);
  void CountVerification(const EvaluationReport& report);
  void AbandonVerification();
  void CountDecision(const FormedView& view, const StepVerdict& verdict, absl::Duration gathered_votes_for);
  Next NextAfter(const FormedView& view, uint64_t step, bool may_evaluate) const;
  void Apply(const SharedView& view, const Next& next);
  std::vector<Voter> Voters() const;

  // run_life.cc
  void CheckTimeouts(MonotonicTime now);
  void CheckSilence(MonotonicTime now);
  bool MayLeave(Connection connection) const;
  void Died(Connection who, absl::string_view reason);
  bool gathering() const { return std::holds_alternative<Gathering>(state_); }
  // A member goes while the run gathers. Requires: gathering().
  void Leave(Connection who, absl::string_view reason);
  bool MustStop() const { return stop_requested_ || leaver_.has_value(); }
  bool StopsForALeaver() const;
  void EndIfAllIsDone();
  void Fail(const absl::Status& result);
  // `closing`: what the members' streams are closed with.
  void End(absl::Status result, const absl::Status& closing);

  // run_checkpoints.cc
  static Checkpoints::Options CheckpointOptions(const Options& options, const Clock& clock);
  void ResumeFrom(const ResumePoint& resume);
  void BeginCheckpoint(const FormedView& view);
  void CheckpointDuringEvaluation();

  // run_status.cc
  void ReportProgress() { Emit(ProgressNow()); }
  Progress ProgressNow() const;
  absl::Duration TimeLeft(const Progress& progress) const;
  std::string WaitingFor() const;

  void Emit(RunOutput output) { outputs_.push_back(std::move(output)); }
  void Broadcast(const CoordinatorMessage& message);

  const Options options_;
  const Clock* const clock_;
  RunOutputs outputs_;

  RunState state_;
  Membership members_;
  uint64_t views_ = 0;           // formed so far
  uint64_t step_ = 0;            // the last decided one
  bool began_ = false;           // all members have joined
  bool stop_requested_ = false;  // takes effect with the next decision
  // The first member that was told to end after the view was formed: it stops the run too, which is then to resume.
  std::optional<absl::Status> leaver_;
  MonotonicTime last_tick_;
  std::optional<Blame> blame_;  // the first one
  RunCounters counters_;
  Checkpoints checkpoints_;
  Throughput throughput_;
  VerificationTimes verification_times_;
  uint64_t verification_images_ = 0;  // of all sets
  Progress progress_;  // the latest loss, learning rate, verification and the like; ProgressNow() adds the rest
};

}  // namespace arcshard::coordinator
