#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "shard_server/state/shard_output.h"
#include "shard_server/state/shard_state.h"
#include "tests/simulation/hash_head.h"
#include "tests/simulation/sim_participant.h"

namespace arcshard::simulation {

// What a worker sends to a shard. Its key is in each but the hello.
struct HelloMessage {
  View view;
  uint32_t worker = 0;
};
struct LabelsMessage {
  Key key;
  std::vector<int64_t> labels;
};
struct EmbeddingMessage {
  Key key;
  std::vector<float> values;  // B×kDim
};
struct GradientMessage {
  Key key;
  std::vector<float> r, t;  // B
};
using WorkerMessage = std::variant<HelloMessage, LabelsMessage, EmbeddingMessage, GradientMessage>;
struct StatisticsMessage {
  Key key;
  std::vector<float> z, u;
};
using ExchangeStream = Stream<WorkerMessage, StatisticsMessage>;

// A rebuilding shard asks for one record at a time.
struct RecordRequest {
  StatePoint after;
};
using RecordAnswer = absl::StatusOr<std::shared_ptr<const shard::ReplayRecord>>;
using ReplayStream = Stream<RecordRequest, RecordAnswer>;

inline constexpr int64_t kDim = 2;

// A shard: the real ShardState on a HashHead, with its executor as events.
class SimShard final : public SimParticipant, private shard::ShardOutput {
 public:
  SimShard(Parts parts, std::string host, bool spare) : SimParticipant(parts, std::move(host)), spare_(spare) {}

  std::shared_ptr<ExchangeStream> AcceptWorker(StreamEnd<StatisticsMessage> client);
  std::shared_ptr<ReplayStream> AcceptReplay(StreamEnd<RecordAnswer> client);

  // The state between two steps; null: it holds no range yet.
  const HashHead* head() const { return head_.get(); }
  StatePoint point() const { return state_ == nullptr ? StatePoint{} : state_->held().state; }
  const View& view() const { return view_; }
  std::optional<ClassRange> range() const;

 private:
  Registration Describe() override;
  void OnMessage(const CoordinatorMessage& message) override;
  void OnDetached() override;
  ParticipantStats Stats() const override;
  void Take(const Welcome& welcome);
  void Take(const ViewAnnouncement& view);
  void Take(const Install& install);
  void Take(const Decision& decision);
  void Take(const Proceed& proceed);
  void Take(const CheckpointSettled& settled);
  void Take(const Pulse&) {}
  void Check(const absl::Status& status, const char* what);
  void Follow(const Next& next);
  void Pump();
  void AskForRecord();
  void TakeOne(const WorkerMessage& message, std::optional<uint32_t>* id,
               const std::shared_ptr<ExchangeStream>& stream);

  void SendStatistics(uint32_t worker, const Key& key, const shard::PartialStatistics& statistics) override;
  void Refuse(uint32_t worker, const Key& key, const absl::Status& why) override;
  void VoteReady(const ReadyVote& vote) override;
  void TakeCheckpoint(const View& view, uint64_t step) override;
  void Applied(uint64_t step, Outcome outcome) override;
  absl::Status RestoreBase(const ViewAnnouncement& view) override;
  void RequestReplay(const ViewAnnouncement& view, uint32_t peer, const StatePoint& after, uint64_t until) override;
  void Joined(const JoinedReport& report) override;
  void LostPeers(const LostPeersReport& report) override { Send(report); }

  struct Replay {
    View view;
    StatePoint after;
    uint64_t until = 0;
    std::shared_ptr<ReplayStream> stream;
  };

  const bool spare_;  // it waits until a place becomes free
  std::optional<Welcome> welcome_;
  uint64_t voted_ = 0;  // the last step that it voted on
  std::unique_ptr<HashHead> head_;
  std::unique_ptr<shard::ShardState> state_;
  View view_;
  std::vector<std::function<void()>> early_;  // messages of workers before the first view
  bool pumping_ = false;
  bool stopping_ = false;  // the last next was stop
  int writing_ = 0;        // parts of checkpoints
  std::map<uint32_t, std::shared_ptr<ExchangeStream>> workers_;
  std::shared_ptr<Replay> replay_;
};

}  // namespace arcshard::simulation
