#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/sim_all_reduce.h"
#include "tests/simulation/sim_participant.h"
#include "tests/simulation/sim_shard.h"
#include "worker/worker_protocol.h"

namespace arcshard::simulation {

// A worker: the real WorkerProtocol, driven as WorkerProcess drives it, but with events instead of waiting. Its
// backbone is one number, a hash over all steps in order, which depends neither on the number of workers nor on theirs.
class SimWorker final : public SimParticipant {
 public:
  SimWorker(Parts parts, SimAllReduce* all_reduce, std::string host)
      : SimParticipant(parts, std::move(host)), all_reduce_(all_reduce) {}

  uint64_t state() const { return backbone_; }
  View view() const { return protocol_.held().view; }
  StatePoint point() const { return protocol_.held().state; }

 private:
  Registration Describe() override;
  void OnMessage(const CoordinatorMessage& message) override;
  void OnDetached() override;
  ParticipantStats Stats() const override;

  struct Detached {};
  using Event = std::variant<Welcome, ViewAnnouncement, Install, Decision, Proceed, Detached>;
  void Push(Event event);
  void Take(const Welcome& welcome);
  void Take(const ViewAnnouncement& view);
  void Take(const Install& install);
  void Take(const Decision& decision);
  void Take(const Proceed& proceed);
  void Take(const Detached&);

  // Sends, works and takes events until the protocol waits for something.
  void Advance();
  void WakeAtDeadline();
  bool Interrupted() const;
  void Interrupt();
  // Calls `what` later unless the work in progress has been interrupted by then.
  void Continue(absl::Duration delay, std::function<void()> what);
  std::function<void(const absl::StatusOr<uint64_t>&)> IfNotInterrupted(
      std::function<void(const absl::StatusOr<uint64_t>&)> what);

  void Do(const worker::WorkerProtocol::OpenData& work);
  void Do(const worker::WorkerProtocol::Attach& work);
  void Do(const worker::WorkerProtocol::JoinView& work);
  void Do(const worker::WorkerProtocol::ApplyDecision& work);
  void Do(const worker::WorkerProtocol::BeginCheckpoint& work);
  void Do(const worker::WorkerProtocol::ComputeStep& work);
  void Do(const worker::WorkerProtocol::Evaluate& work);
  void Do(const worker::WorkerProtocol::FinishRun& work);

  void Meet(const worker::WorkerProtocol::JoinView& work);
  void LeaveView();
  void Reduce(uint64_t round, const SimAllReduce::Share& share, std::function<void(uint64_t)> then);
  void LostShard(uint32_t id);
  void LostWorkers();
  void ReduceStep();
  void Receive(size_t shard, const StatisticsMessage& message);
  void FinishMicroBatch(uint32_t micro_batch);

  struct MicroBatch {
    std::vector<int64_t> labels;
    std::map<size_t, StatisticsMessage> answers;  // by shard
  };

  SimAllReduce* const all_reduce_;
  worker::WorkerProtocol protocol_;
  std::deque<Event> events_;
  bool advancing_ = false;
  uint64_t work_number_ = 0;  // of the work in progress: what belongs to an earlier one is void
  bool needs_peers_ = false;  // the work in progress does

  std::optional<Welcome> welcome_;
  uint64_t backbone_ = 0;
  std::optional<ViewAnnouncement> view_;
  size_t position_ = 0;
  std::vector<std::shared_ptr<ExchangeStream>> shards_;
  std::optional<uint32_t> lost_shard_;  // whose stream of this view has ended
  StepPlan plan_;
  std::map<uint32_t, MicroBatch> micro_batches_;   // of the step that is computed
  uint64_t gradient_ = 0;                          // the sum of this worker's
  uint64_t reduced_ = 0;                           // of all workers, of the step that was computed last
  std::optional<MonotonicTime> all_reduce_since_;  // it waits for other workers
  std::optional<MonotonicTime> shards_since_;      // it waits for statistics
  std::optional<MonotonicTime> idle_since_;        // it waits for the coordinator
  int writing_ = 0;                                // parts of checkpoints
};

}  // namespace arcshard::simulation
