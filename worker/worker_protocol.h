#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "common/protocol/verification_report.h"

namespace arcshard::worker {

// A worker's side of Coordinator.Attend (coordinator.proto) as a state machine: it decides which messages the worker
// sends and what it does next.
//
//   AwaitingWelcome ► OpeningData ► AwaitingView ► Joining ► AwaitingDecision
//
//   AwaitingDecision and AwaitingProceed end with a message that says what is next:
//     a step        ► Computing  ► AwaitingDecision
//     an evaluation ► Evaluating ► AwaitingProceed, or ► Finishing if a stop abandons it
//     the stop      ► Finishing  ► AwaitingEnd ► Ended
//
// A view that is announced in AwaitingView, AwaitingDecision or AwaitingProceed leads to Joining. An error leads to
// Failing and then Ended, the end of the coordinator's stream to Ended at once.
//
// The driver (WorkerProcess; in a simulation, the simulator) repeats: send TakeMessages; carry out TakeWork and report
// its result; when there is no work, wait for a message of the coordinator or for deadline(), and pass it in. Neither
// threads nor clocks are used, and nothing is called back. Not thread-safe.
class WorkerProtocol {
 public:
  // How long a worker that has failed waits: before it tells the coordinator that it lost a peer, since the coordinator
  // may know which process died and end the run with that; and for the end of the run after it has told.
  static constexpr absl::Duration kPatience = absl::Seconds(3);

  // Apply the configuration, open the training set and the verification sets. Result: OnDataOpened.
  struct OpenData {
    Welcome welcome;
  };
  // Check the verification sets, make or restore the state that the view begins with, and connect to its shards and
  // workers. Result: OnJoined. Messages to proceed that come during the check are passed to OnProceedWhileJoining.
  struct JoinView {
    ViewAnnouncement view;
    size_t position = 0;  // of this worker among the view's workers
  };
  // Commit or skip the step that was computed last. No result.
  struct ApplyDecision {
    Decision decision;
  };
  // Copy the state aside and begin to write it as the checkpoint of `step`, which is reported later. No result.
  struct BeginCheckpoint {
    View view;
    uint64_t step = 0;
  };
  // Result: OnComputed.
  struct ComputeStep {
    StepPlan plan;
  };
  // Verify the backbone as it is after `step`. Result: OnEvaluated. Messages to proceed that come meanwhile are passed
  // to OnProceedWhileEvaluating.
  struct Evaluate {
    uint64_t step = 0;
    bool writes_model = false;  // this worker, the view's first, writes the backbone if it is the best one so far
  };
  // Wait for the checkpoint that is being written; write the final backbone, after `step`. Result: OnFinished.
  struct FinishRun {
    uint64_t step = 0;
    bool writes_model = false;
  };
  using Work = std::variant<OpenData, JoinView, ApplyDecision, BeginCheckpoint, ComputeStep, Evaluate, FinishRun>;

  // Messages of the coordinator. Require idle(). One that does not fit the state (FailedPrecondition, naming both) is
  // an error of this worker, as in OnFailed; so is a view without this worker. Ignored once it has failed.
  void OnWelcome(const Welcome& welcome, MonotonicTime now);
  void OnView(const ViewAnnouncement& view, MonotonicTime now);
  void OnDecision(const Decision& decision, MonotonicTime now);
  void OnProceed(const Next& next, MonotonicTime now);
  // The coordinator says how to proceed while JoinView is carried out. Cancelled: the run is to stop, so what only
  // checks something is left out; this worker joins all the same, since the first decision stops the run.
  // FailedPrecondition: the message does not fit. Requires that TakeWork's last answer was JoinView.
  absl::Status OnProceedWhileJoining(const Next& next) const;
  // The coordinator says how to proceed while Evaluate is carried out. Returns the checkpoint that is to be begun now,
  // if one is. If the run is to stop, or the message does not fit, abandoned() is true from then on: Evaluate has no
  // result. Requires that TakeWork's last answer was Evaluate.
  std::optional<BeginCheckpoint> OnProceedWhileEvaluating(const Next& next, MonotonicTime now);
  bool abandoned() const { return abandoned_; }  // the last Evaluate
  // The coordinator's stream has ended; OK: in order. Requires idle().
  void OnClosed(const absl::Status& status);

  // Results. Each requires that TakeWork's last answer was the work that has it.
  void OnDataOpened(const DatasetReport& dataset);
  void OnJoined(uint64_t verification_images);  // of this worker's share
  // `vote`: view and step are filled in here.
  void OnComputed(ReadyVote vote);
  // `problem`: why a set is missing, or the best backbone was not written; empty: there was none.
  void OnEvaluated(std::vector<VerificationReport> sets, std::string problem);
  void OnFinished();
  // The work that was taken last failed; what follows it is dropped. `status` is not OK.
  void OnFailed(const absl::Status& status, MonotonicTime now);

  // deadline() may have come.
  void OnTime(MonotonicTime now);

  // The messages to send now, in order.
  std::vector<ParticipantMessage> TakeMessages();
  // The next thing to do, if there is one. Requires that the work before it has been carried out.
  std::optional<Work> TakeWork();

  // Nothing is left to do until a message or the deadline comes.
  bool idle() const { return work_.empty() && !running_; }
  // When OnTime has something to do.
  MonotonicTime deadline() const;

  bool ended() const { return std::holds_alternative<Ended>(state_); }
  // How the run ended for this worker: OK in order, else the error that explains most: the coordinator's, if it sent
  // one, or this worker's. Requires ended().
  absl::Status status() const;

 private:
  // This worker's place in a view.
  struct Seat {
    View view;
    size_t position = 0;
    bool first() const { return position == 0; }
  };
  struct AwaitingWelcome {};
  struct OpeningData {};
  struct AwaitingView {};
  struct Joining {
    Seat seat;
    uint64_t last_decided_step = 0;
  };
  struct AwaitingDecision {
    Seat seat;
    uint64_t step = 0;    // that the decision is about
    bool applies = true;  // false for a view's first decision, which repeats the last decided step
  };
  struct Computing {
    Seat seat;
    uint64_t step = 0;
  };
  struct Evaluating {
    Seat seat;
    uint64_t step = 0;  // decided last
  };
  struct AwaitingProceed {
    Seat seat;
    uint64_t step = 0;  // decided last
  };
  struct Finishing {};
  struct AwaitingEnd {};
  struct Failing {
    absl::Status status;
    MonotonicTime deadline;
    bool told = false;  // the coordinator
  };
  struct Ended {
    absl::Status status;
  };
  using State = std::variant<AwaitingWelcome, OpeningData, AwaitingView, Joining, AwaitingDecision, Computing,
                             Evaluating, AwaitingProceed, Finishing, AwaitingEnd, Failing, Ended>;

  // Enters the state that `next` leads to. step: decided last.
  void Follow(const Next& next, const Seat& seat, uint64_t step);
  // Whether a message of the coordinator is to be ignored.
  bool over() const { return std::holds_alternative<Failing>(state_) || ended(); }
  bool AcceptsView() const;
  void Fail(const absl::Status& status, MonotonicTime now);
  void Refuse(absl::string_view message, MonotonicTime now);
  std::string Doing() const;
  template <typename Expected>
  Expected TakeState();
  template <typename Message>
  void Send(Message message);
  template <typename Kind>
  void Plan(Kind work);  // to be done after what is planned already

  uint32_t id_ = 0;  // of this worker, from the Welcome
  State state_ = AwaitingWelcome{};
  std::deque<Work> work_;
  bool running_ = false;    // work with a result has been taken
  bool abandoned_ = false;  // the last evaluation
  std::vector<ParticipantMessage> messages_;
};

}  // namespace arcshard::worker
