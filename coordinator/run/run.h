#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/token.h"
#include "common/checkpoint/manifest.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"
#include "common/protocol/sample_plan.h"
#include "common/protocol/types.h"
#include "coordinator/policy/decisions.h"
#include "coordinator/policy/device_leases.h"
#include "coordinator/policy/recent_phases.h"
#include "coordinator/policy/schedule.h"
#include "coordinator/run/checkpoints.h"
#include "coordinator/run/outbox.h"
#include "coordinator/run/progress.h"
#include "coordinator/run/run_status.h"

namespace arcshard::coordinator {

// The run as the coordinator sees it: a state machine without threads, network or files. What it sends follows from its
// inputs, their order and the clock. Not thread-safe: one lock of the owner guards all of it.
//
//   kGathering ── all have registered, data sets agree ──► kJoining ── all have joined ──► kTraining ◄────► kEvaluating
//       │                                                                                      └─ next = STOP ─┘
//       │ stop requested                                                                               ▼
//       └──────────────────────────────────► kFinished ◄── all have finished ── kStopping ◄────────────┘
//
//   any of these but kFinished ── a death, a Failure, a message out of order, max_skips in a row ──► kFailed
//
// The run has one view, and one life: kFinished and kFailed close every stream and are final.
class Run {
 public:
  struct Options {
    RunConfig config;
    std::string config_yaml;  // the same, as participants get it
    uint64_t incarnation = 0;
    std::optional<ResumePoint> resume = std::nullopt;  // none: the run starts from step 0
    CheckpointKeeper* keeper = nullptr;                // outlives the run; null: it takes no checkpoints
    std::string version = {};                          // of arcshard, for manifests
    // For all to finish after next = STOP. Anew while a checkpoint is in progress: that takes what the disk takes, and
    // who dies is noticed by its silence.
    absl::Duration stop_timeout = absl::Minutes(10);
    // A participant that reports a lost peer usually knows before the peer's own stream breaks here. For so long the
    // report waits for the death, which says better what happened.
    absl::Duration blame_grace = absl::Milliseconds(500);
    std::function<std::string()> new_token = NewToken;  // a secret for each participant
    // Which replica had which GPU, from the run's earlier lives; and where to keep it for later ones: called as Outbox
    // is, when it has changed.
    std::vector<DeviceMemory> device_memory = {};
    std::function<void(const std::vector<DeviceMemory>&)> keep_device_memory = nullptr;
  };

  // InvalidArgument: the configuration names an unknown schedule.
  static absl::Status Validate(const RunConfig& config) { return Schedule::Validate(config.schedule); }

  // `options.config` is valid. The others outlive it.
  Run(Options options, const Clock* clock, Outbox* outbox, ProgressSink* progress);

  // A message that is out of order or place closes its stream with the code that coordinator.proto names; one of a
  // member ends the run.
  void Receive(Connection from, const ParticipantMessage& message);
  // A message that could not even be read.
  void Refuse(Connection from, const absl::Status& status);
  // The stream is gone, `reason` in words: "stream broken".
  void Disconnected(Connection from, absl::string_view reason);
  // At least once every second: what depends on time alone.
  void Tick();
  // Orderly: after the step in progress; at once when there is none yet.
  void RequestStop();

  // A checkpoint after the step in progress. Errors as coordinator.proto has them. `answer` is called once, maybe at
  // once, under the lock: must not call back, must not block.
  void TakeCheckpoint(Checkpoints::Answer answer);
  // The word of Options::keeper about Complete.
  void CheckpointKept(uint64_t step, const absl::Status& status);

  RunStatus Status() const;

  // Set once the run has ended: OK after an orderly end, else why not.
  const std::optional<absl::Status>& result() const { return result_; }

 private:
  struct Member {
    Registration registration;
    uint32_t id = 0;
    std::string token = {};
    absl::Time registered;
    absl::Time last_heard;
    std::optional<DatasetReport> data = std::nullopt;  // workers
    ClassRange range = {};                             // shards, from kJoining on
    ParticipantStats stats = {};                       // the latest
    RecentPhases recent = {};
    bool joined = false;
    std::optional<ReadyVote> vote = std::nullopt;  // of the step in progress
    bool failed = false;                           // has reported a Failure
    bool finished = false;
    std::string device = {};  // uuid of the GPU that is leased to it

    std::string Name() const;  // "worker 1 (pid 123 on host)"
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

  absl::Status CheckRegistration(const Registration& registration) const;
  // A device for the member that this registration makes, if it asks for one.
  absl::Status LeaseDevice(Connection from, Member* member);
  absl::Status CheckView(const View& view, absl::string_view what) const;

  void BeginJoining();
  absl::StatusOr<ViewAnnouncement> FormView();
  void BeginTraining();
  void Decide();
  void Apply(const Next& next);
  void CountDecision(const StepVerdict& verdict);
  absl::Status CheckHealth(const StepVerdict& verdict) const;

  void Broadcast(const CoordinatorMessage& message);
  void Announce(const ViewAnnouncement& announcement);
  void Died(Connection who, absl::string_view reason);
  // Ends the run: `result` is how it ended, `closing` what the streams are closed with.
  void End(const absl::Status& result, const absl::Status& closing);
  void Fail(const absl::Status& result);
  void EndIfAllIsDone();
  // run_checkpoints.cc
  static Checkpoints::Options CheckpointOptions(const Options& options);
  void ContinueFrom(const Manifest& manifest);
  // Whether this run, as it is known now, is the one that its checkpoint is of.
  absl::Status CheckResumed(const DatasetReport& data, int64_t num_classes) const;
  void BeginCheckpoint();
  // A failure to read the checkpoint that the run goes on from, with what can be done.
  absl::Status WithAWayOut(const absl::Status& failure) const;

  void ReportProgress();

  Next NextAfter(uint64_t step, bool may_evaluate) const;
  Gathering GatheringNow() const;
  std::string WaitingFor() const;
  std::string Whereabouts() const;  // "at step 17", for a sentence about a death
  uint32_t Count(Role role) const;
  const Member* LowestWorker() const;  // null while there is none

  const Options options_;
  const Clock* const clock_;
  Outbox* const outbox_;
  ProgressSink* const sink_;
  const absl::Time started_;

  Phase phase_ = Phase::kGathering;
  std::map<Connection, Member> members_;
  DeviceLeases leases_;
  View view_;
  int64_t num_classes_ = 0;           // from kJoining on
  std::optional<SamplePlan> plan_;    // from kJoining on
  std::optional<Schedule> schedule_;  // likewise
  uint64_t samples_ = 0;              // of the data set
  uint64_t step_ = 0;                 // decided last
  absl::Time first_vote_;             // of the step in progress
  uint32_t skips_in_a_row_ = 0;
  uint64_t corrupt_in_epoch_ = 0;
  bool stop_requested_ = false;
  absl::Time last_tick_;
  absl::Time stop_deadline_ = absl::InfiniteFuture();
  std::optional<absl::Status> blamed_;  // a lost peer that somebody reported, until blame_deadline_
  absl::Time blame_deadline_ = absl::InfiniteFuture();
  Throughput throughput_;
  Progress progress_;
  Checkpoints checkpoints_;
  std::optional<absl::Status> result_;
};

}  // namespace arcshard::coordinator
