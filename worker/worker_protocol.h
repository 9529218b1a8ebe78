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
#include "worker/held_point.h"
#include "worker/worker_states.h"

namespace arcshard::worker {

// A worker's side of Coordinator.Attend (coordinator.proto) as a state machine: it decides which messages the worker
// sends and what it does next.
//
//   AwaitingWelcome ► OpeningData ► AwaitingView ► Joining ► AwaitingInstall
//
//   AwaitingInstall, AwaitingDecision and AwaitingProceed end with a message that says what is next:
//     a step        ► Computing  ► AwaitingDecision
//     an evaluation ► Evaluating ► AwaitingProceed, or ► Finishing if a stop abandons it
//     the stop      ► Finishing  ► AwaitingEnd ► Ended
//
// A view leads from every state after the Welcome to Joining. Work that lost a peer, or that an interruption has made
// void, leads to AwaitingView; the loss of the coordinator to AwaitingWelcome, and the next Welcome from there to
// AwaitingView, since the data is open. An error leads to Failing and then Ended, the end of the coordinator's stream
// to Ended at once.
//
// The driver (WorkerProcess; in a simulation, the simulator) repeats: send TakeMessages; carry out TakeWork and report
// its result; when there is no work, wait for a message of the coordinator or for deadline(), and pass it in. A view, a
// loss of the coordinator and a Welcome may interrupt work with a result: then OnVoided comes before them. Neither
// threads nor clocks are used, and nothing is called back. Not thread-safe.
class WorkerProtocol {
 public:
  // How long a worker that has failed waits for the end of the run after it has told the coordinator.
  static constexpr absl::Duration kPatience = absl::Seconds(3);
  using Source = HeldPoint::Source;

  // Apply the configuration, open the training set and the verification sets. Result: OnDataOpened.
  struct OpenData {
    Welcome welcome;
  };
  // Connect to the coordinator again with this registration, to which the driver adds this process's address, host and
  // pid. No result: a Welcome follows.
  struct Attach {
    Registration registration;
  };
  // Check the verification sets, make or take over the state that the view begins with (OnRestored), and connect to its
  // shards and workers. Result: OnJoined, or OnLostPeers. Messages to proceed that come during the check are passed to
  // OnProceedWhileJoining.
  struct JoinView {
    ViewAnnouncement view;
    size_t position = 0;  // of this worker among the view's workers
    Source source = Source::kKeep;
    // The position of the worker that sends its state to all others, which those that lack it take; no value: nobody
    // does.
    std::optional<size_t> sender = std::nullopt;
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
  // Keep the result until the next ComputeStep or JoinView. Result: OnComputed, or OnLostPeers.
  struct ComputeStep {
    StepPlan plan;
  };
  // Verify the backbone as it is after `step`. Result: OnEvaluated, or OnLostPeers. Messages to proceed that come
  // meanwhile are passed to OnProceedWhileEvaluating.
  struct Evaluate {
    uint64_t step = 0;
    bool writes_model = false;   // this worker, the view's first, writes the backbone if it is the best one so far
    BestVerification best = {};  // of the run so far
  };
  // Wait for the checkpoint that is being written; write the final backbone, after `step`. Result: OnFinished.
  struct FinishRun {
    uint64_t step = 0;
    bool writes_model = false;
  };
  using Work =
      std::variant<OpenData, Attach, JoinView, ApplyDecision, BeginCheckpoint, ComputeStep, Evaluate, FinishRun>;

  static bool NeedsPeers(const Work& work) {
    return std::holds_alternative<JoinView>(work) || std::holds_alternative<ComputeStep>(work) ||
           std::holds_alternative<Evaluate>(work);
  }

  // Messages of the coordinator. Require idle(). One that does not fit the state (FailedPrecondition, naming both) is
  // an error of this worker, as in OnFailed; so is a view without this worker. What is of a view that this worker has
  // left is ignored, and all messages once it has failed.
  void OnWelcome(const Welcome& welcome, MonotonicTime now);
  void OnView(const ViewAnnouncement& view, MonotonicTime now);
  void OnInstall(const Install& install, MonotonicTime now);
  void OnDecision(const Decision& decision, MonotonicTime now);
  void OnProceed(const Proceed& proceed, MonotonicTime now);
  // The coordinator says how to proceed while JoinView is carried out. Cancelled: the run is to stop, so what only
  // checks something is left out; this worker joins all the same, since Install stops the run. FailedPrecondition: the
  // message does not fit. Requires that TakeWork's last answer was JoinView.
  absl::Status OnProceedWhileJoining(const Proceed& proceed);
  // The coordinator says how to proceed while Evaluate is carried out. Returns the checkpoint that is to be begun now,
  // if one is. If the run is to stop, or the message does not fit, abandoned() is true from then on: Evaluate has no
  // result. Requires that TakeWork's last answer was Evaluate.
  std::optional<BeginCheckpoint> OnProceedWhileEvaluating(const Proceed& proceed, MonotonicTime now);
  bool abandoned() const { return abandoned_; }  // the last Evaluate
  // The connection to the coordinator is lost; Attach follows. Requires idle().
  void OnDetached(const absl::Status& status, MonotonicTime now);
  // The coordinator's stream has ended for good; OK: in order. Requires idle().
  void OnClosed(const absl::Status& status);

  // Results. Each requires that TakeWork's last answer was the work that has it.
  void OnDataOpened(const DatasetReport& dataset);
  void OnRestored();  // the view's state is held; JoinView goes on. May be left out: OnJoined implies it
  // verification_images: of this worker's share. seconds: that making or copying the state took; 0 where it was held.
  void OnJoined(uint64_t verification_images, double seconds);
  void OnComputed(ReadyVote vote);  // view and step are filled in here
  // `problem`: why a set is missing, or the best backbone was not written; empty: there was none.
  void OnEvaluated(std::vector<VerificationReport> sets, std::string problem);
  void OnFinished();
  // The work cannot reach members of its view, which is filled in here. What it did is void.
  void OnLostPeers(LostPeersReport report, MonotonicTime now);
  // The work was interrupted: what it did is void, except what OnRestored has told.
  void OnVoided();
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
  // Work with a result has been taken, and the result was not reported yet.
  bool running() const { return running_; }
  // When OnTime has something to do.
  MonotonicTime deadline() const;

  HeldState held() const { return held_.state(); }

  bool ended() const { return std::holds_alternative<worker_states::Ended>(state_); }
  // How the run ended for this worker: OK in order, else the error that explains most: the coordinator's, if it sent
  // one, or this worker's. Requires ended().
  absl::Status status() const;

 private:
  // Enters the state that `next` leads to, in the view of `seat`.
  void Follow(const Next& next, const worker_states::Seat& seat, MonotonicTime now);
  // Whether what the coordinator says of this view is to be ignored: this worker has left it.
  bool Left(const View& view) const;
  // Whether a message of the coordinator is to be ignored.
  bool over() const { return std::holds_alternative<worker_states::Failing>(state_) || ended(); }
  void Fail(const absl::Status& status, MonotonicTime now);
  void Refuse(absl::string_view message, MonotonicTime now);
  template <typename Expected>
  Expected TakeState();
  template <typename Message>
  void Send(Message message);
  template <typename Kind>
  void Plan(Kind work);  // to be done after what is planned already

  worker_states::State state_ = worker_states::AwaitingWelcome{};
  std::optional<Welcome> welcome_;        // the latest
  std::optional<DatasetReport> dataset_;  // once the data is open
  HeldPoint held_;
  std::deque<Work> work_;
  bool running_ = false;
  bool abandoned_ = false;  // the last evaluation
  std::vector<ParticipantMessage> messages_;
};

}  // namespace arcshard::worker
