#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "arcshard/v1/shared.pb.h"
#include "common/base/mutex.h"
#include "tests/faults/proxy.h"

// One death at one message.
namespace arcshard::faults {

enum class Position {
  kSenderBefore,    // the message is held back, and its sender killed
  kSenderAfter,     // it is forwarded, then its sender is killed
  kReceiverBefore,  // it is held back, and its receiver killed
  kReceiverAtOnce,  // it is forwarded, and its receiver killed at once: while it handles it
  kReceiverAfter,   // it is forwarded; the receiver's next message or answer is held back, and the receiver killed
};

// When the message is on its way. It is the first one there that fits.
enum class Phase {
  kStart,                // before the first step
  kTraining,             // after a few steps
  kCheckpoint,           // a checkpoint is being written
  kVerification,         // the run verifies
  kShardRecovery,        // after the death of the last shard,
  kWorkerRecovery,       // of the last worker,
  kCoordinatorRecovery,  // of the coordinator
  kBrokenLink,           // after a stream between the last worker and a shard broke
  kFailing,              // the sender was told of a decision that makes no sense, so that it fails
  kStop,                 // the members were told to stop
  kLeaving,              // the same, and the sender was told to end by a signal
};

struct Fault {
  std::string type;  // of message_types.h
  Phase phase = Phase::kTraining;
  Position position = Position::kSenderBefore;
  Party from, to;
  bool later_piece = false;  // of a tensor: a piece that is not the first one
};
std::string ToString(const Fault& fault);  // of letters, digits and '_'
inline bool KillsSender(Position position) {
  return position == Position::kSenderBefore || position == Position::kSenderAfter;
}

// How far a run has come, as its messages tell.
class RunPhase {
 public:
  void Note(const google::protobuf::Message& message);

  bool installed() const { return installed_; }
  uint64_t decided() const { return decided_; }
  // Also until the next step is decided, if that takes longer: how fast a machine is shall not decide whether the
  // step's messages are sent meanwhile.
  bool writes_checkpoint() const {
    return checkpoint_step_.has_value() && (!settled_ || decided_ == *checkpoint_step_);
  }
  // Until then: a verification of so few images may end before a heartbeat comes.
  bool verifies() const { return verified_step_ == decided_; }
  bool stops() const { return stops_; }

 private:
  void Note(const v1::Next& next);

  bool installed_ = false;
  uint64_t decided_ = 0;
  std::optional<uint64_t> checkpoint_step_ = std::nullopt;  // of the last checkpoint that was begun
  bool settled_ = false;
  std::optional<uint64_t> verified_step_ = std::nullopt;  // of the last verification that was begun
  bool stops_ = false;
};

// Kills the fault's victim, after it has brought the run into the fault's phase. Without a fault it only looks on.
class FaultInspector final : public Inspector {
 public:
  static constexpr uint64_t kTrains = 2;    // steps decided in Phase::kTraining
  static constexpr uint64_t kRecovers = 7;  // the decision at which a phase of recovery begins

  // last_shard, last_worker: their numbers.
  FaultInspector(std::optional<Fault> fault, uint32_t last_shard, uint32_t last_worker)
      : fault_(std::move(fault)), last_shard_(last_shard), last_worker_(last_worker) {}

  Verdict Inspect(const Passage& passage) override;
  void Ended(const Peer& from, const Peer& to) override;

  // Whether the victim was killed.
  bool struck() const { return struck_; }

 private:
  // What brings the phase about at this passage; no value: nothing, or it begins by itself.
  std::optional<Verdict> Provoke(const Passage& passage);
  std::optional<Verdict> KillFirst(const Passage& passage);
  bool InPhase(const std::string& type) const;
  bool Fits(const Passage& passage) const;
  Verdict Strike(const Passage& passage);
  void Kill(const Peer& victim);

  const std::optional<Fault> fault_;
  const uint32_t last_shard_, last_worker_;
  RunPhase phase_;
  bool provoked_ = false;
  pid_t first_ = 0;                             // of the first death of a recovery; 0: there is none
  bool found_ = false;                          // the message
  std::optional<Peer> answers_ = std::nullopt;  // who is killed when it shows that it has handled the message
  std::atomic<bool> struck_ = false;
};

}  // namespace arcshard::faults
