#include "tests/faults/fault.h"

#include <csignal>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "arcshard/v1/coordinator.pb.h"
#include "arcshard/v1/shard.pb.h"
#include "tests/faults/message_types.h"

namespace arcshard::faults {
namespace {

const char* NameOf(Position position) {
  switch (position) {
    case Position::kSenderBefore:
      return "SenderBefore";
    case Position::kSenderAfter:
      return "SenderAfter";
    case Position::kReceiverBefore:
      return "ReceiverBefore";
    case Position::kReceiverAtOnce:
      return "ReceiverAtOnce";
    case Position::kReceiverAfter:
      return "ReceiverAfter";
  }
  return "";
}

const char* NameOf(Phase phase) {
  switch (phase) {
    case Phase::kStart:
      return "Start";
    case Phase::kTraining:
      return "Training";
    case Phase::kCheckpoint:
      return "Checkpoint";
    case Phase::kVerification:
      return "Verification";
    case Phase::kShardRecovery:
      return "ShardRecovery";
    case Phase::kWorkerRecovery:
      return "WorkerRecovery";
    case Phase::kCoordinatorRecovery:
      return "CoordinatorRecovery";
    case Phase::kBrokenLink:
      return "BrokenLink";
    case Phase::kFailing:
      return "Failing";
    case Phase::kStop:
      return "Stop";
    case Phase::kLeaving:
      return "Leaving";
  }
  return "";
}

// What both sides send all the time shows nothing.
bool IsSignOfLife(const std::string& type) { return type == "Attend.heartbeat" || type == "Attend.pulse"; }

// Whether the message is a piece of a tensor that is not the first one.
bool IsLaterPiece(const google::protobuf::Message& message) {
  if (const auto* const sent = dynamic_cast<const v1::WorkerMessage*>(&message); sent != nullptr) {
    return sent->embedding().embedding().offset() > 0;
  }
  if (const auto* const answer = dynamic_cast<const v1::ShardMessage*>(&message); answer != nullptr) {
    return answer->statistics().u().offset() > 0;
  }
  const auto* const piece = dynamic_cast<const v1::ReplayPiece*>(&message);
  return piece != nullptr && piece->embedding().offset() > 0;
}

}  // namespace

std::string ToString(const Fault& fault) {
  return absl::StrCat(absl::StrReplaceAll(fault.type, {{".", "_"}}), fault.later_piece ? "_LaterPiece" : "", "_",
                      NameOf(fault.phase), "_", NameOf(fault.position), "_", ToString(fault.from), "_",
                      ToString(fault.to));
}

// --- RunPhase

void RunPhase::Note(const google::protobuf::Message& message) {
  const auto* const told = dynamic_cast<const v1::CoordinatorMessage*>(&message);
  if (told == nullptr) return;
  if (told->has_install()) {
    installed_ = true;
    Note(told->install().next());
  } else if (told->has_decision()) {
    decided_ = std::max<uint64_t>(decided_, told->decision().step());
    Note(told->decision().next());
  } else if (told->has_proceed()) {
    Note(told->proceed().next());
  } else if (told->has_checkpoint_settled()) {
    settled_ = true;
  }
}

void RunPhase::Note(const v1::Next& next) {
  if (next.checkpoint() && checkpoint_step_ != decided_) {
    checkpoint_step_ = decided_;
    settled_ = false;
  }
  if (next.action() == v1::Next::ACTION_EVALUATE) verified_step_ = decided_;
  stops_ = next.action() == v1::Next::ACTION_STOP;
}

// --- FaultInspector

Verdict FaultInspector::Inspect(const Passage& passage) {
  if (!fault_.has_value() || struck_) return {};
  if (answers_.has_value()) {
    if (passage.from.pid != answers_->pid || IsSignOfLife(passage.type)) return {};
    Kill(*answers_);
    return {.forwards = false, .breaks = true};
  }
  if (found_) return {};
  phase_.Note(*passage.message);
  if (std::optional<Verdict> provoking = Provoke(passage); provoking.has_value()) return *std::move(provoking);
  if (!InPhase(passage.type) || !Fits(passage)) return {};
  return Strike(passage);
}

std::optional<Verdict> FaultInspector::Provoke(const Passage& passage) {
  if (provoked_) return std::nullopt;
  switch (fault_->phase) {
    case Phase::kShardRecovery:
    case Phase::kWorkerRecovery:
    case Phase::kCoordinatorRecovery:
      return KillFirst(passage);
    case Phase::kBrokenLink:
      if (phase_.decided() < kRecovers || passage.type != "Exchange.labels") return std::nullopt;
      if (passage.from.party != Party{Kind::kWorker, last_worker_}) return std::nullopt;
      provoked_ = true;
      return Verdict{.forwards = false, .breaks = true};
    case Phase::kFailing: {
      if (phase_.decided() < kTrains || passage.type != "Attend.decision") return std::nullopt;
      if (passage.to.party != fault_->from) return std::nullopt;
      provoked_ = true;
      auto wrong = dynamic_cast<const v1::CoordinatorMessage&>(*passage.message);
      wrong.mutable_decision()->set_lineage(~wrong.decision().lineage());
      return Verdict{.instead = Encode(wrong)};
    }
    case Phase::kLeaving:
      if (!phase_.stops() || passage.to.party != fault_->from) return std::nullopt;
      provoked_ = true;
      kill(passage.to.pid, SIGTERM);
      return std::nullopt;
    default:
      provoked_ = true;
      return std::nullopt;
  }
}

// The first death is at a decision. A coordinator has told one member of it then. A member dies before it hears of it:
// on a busy machine it might else vote for the next step, and the run have a checkpoint of that, before it is dead.
std::optional<Verdict> FaultInspector::KillFirst(const Passage& passage) {
  if (passage.type != "Attend.decision" || phase_.decided() < kRecovers) return std::nullopt;
  const bool shard = fault_->phase == Phase::kShardRecovery;
  pid_t pid = passage.from.pid;
  if (fault_->phase != Phase::kCoordinatorRecovery) {
    const Party first{shard ? Kind::kShard : Kind::kWorker, shard ? last_shard_ : last_worker_};
    if (passage.to.party != first) return std::nullopt;
    pid = passage.to.pid;
  }
  provoked_ = true;
  first_ = pid;
  if (fault_->phase == Phase::kCoordinatorRecovery) return Verdict{.then = [pid] { kill(pid, SIGKILL); }};
  kill(pid, SIGKILL);
  return Verdict{.forwards = false, .breaks = true};
}

// A message that ends or begins a phase belongs to it.
bool FaultInspector::InPhase(const std::string& type) const {
  switch (fault_->phase) {
    case Phase::kStart:
      return !phase_.installed() || (type == "Attend.install" && phase_.decided() == 0);
    case Phase::kTraining:
      return phase_.decided() >= kTrains;
    case Phase::kCheckpoint:
      return phase_.writes_checkpoint() || type == "Attend.checkpoint_settled";
    case Phase::kVerification:
      return phase_.verifies() || type == "Attend.proceed";
    case Phase::kStop:
      return phase_.stops();
    default:
      return provoked_;
  }
}

bool FaultInspector::Fits(const Passage& passage) const {
  if (first_ != 0 && (passage.from.pid == first_ || passage.to.pid == first_)) return false;
  return passage.type == fault_->type && passage.from.party == fault_->from && passage.to.party == fault_->to &&
         fault_->later_piece == (fault_->later_piece && IsLaterPiece(*passage.message));
}

Verdict FaultInspector::Strike(const Passage& passage) {
  found_ = true;
  const Peer victim = KillsSender(fault_->position) ? passage.from : passage.to;
  switch (fault_->position) {
    case Position::kSenderBefore:
    case Position::kReceiverBefore:
      Kill(victim);
      return {.forwards = false, .breaks = true};  // nothing comes after it
    case Position::kSenderAfter:
    case Position::kReceiverAtOnce:
      return {.then = [this, victim] { Kill(victim); }};
    case Position::kReceiverAfter:
      answers_ = victim;
      return {};
  }
  return {};
}

void FaultInspector::Ended(const Peer& from, const Peer&) {
  if (answers_.has_value() && !struck_ && from.pid == answers_->pid) Kill(*answers_);
}

void FaultInspector::Kill(const Peer& victim) {
  if (kill(victim.pid, SIGKILL) == 0) struck_ = true;
}

}  // namespace arcshard::faults
