#include "common/rpc/convert/convert_messages.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/checkpoint_pieces.h"
#include "common/rpc/convert/check_fields.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/convert/convert_registration.h"
#include "common/rpc/convert/convert_views.h"

namespace arcshard {
namespace {

constexpr double kLongestHeartbeatInterval = 3600;  // seconds
constexpr size_t kLongestReason = 64;               // bytes, of Leaving
constexpr size_t kLongestSentence = 16 << 10;       // bytes of that of a failure or of lost peers

// At most kLongestSentence bytes of it, and no part of a character.
std::string Shortened(const std::string& sentence) {
  if (sentence.size() <= kLongestSentence) return sentence;
  size_t end = kLongestSentence;
  while (end > 0 && (static_cast<unsigned char>(sentence[end]) & 0xC0) == 0x80) --end;
  return absl::StrCat(sentence.substr(0, end), " ...");
}

absl::StatusOr<ParticipantMessage> FromJoined(const v1::Joined& message) {
  if (!message.has_view()) return Missing("joined.view");
  JoinedReport report{.view = FromProto(message.view()),
                      .verification_images = message.verification_images(),
                      .state = FromProto(message.state()),
                      .replayed_steps = message.replayed_steps()};
  report.rebuilt_in_seconds = TimeOrZero(message.rebuilt_in_seconds(), &report.odd);
  return report;
}

absl::StatusOr<ParticipantMessage> FromLostPeers(const v1::LostPeers& message) {
  if (!message.has_view()) return Missing("lost_peers.view");
  RETURN_IF_ERROR(CheckCount("lost_peers.shards", message.shards_size(), kMostMembers));
  RETURN_IF_ERROR(CheckCount("lost_peers.workers", message.workers_size(), kMostMembers));
  return LostPeersReport{.view = FromProto(message.view()),
                         .shards = {message.shards().begin(), message.shards().end()},
                         .workers = {message.workers().begin(), message.workers().end()},
                         .sentence = message.sentence()};
}

absl::StatusOr<ParticipantMessage> FromReady(const v1::Ready& message) {
  if (!message.has_view()) return Missing("ready.view");
  return ReadyVote{.view = FromProto(message.view()),
                   .step = message.step(),
                   .finite = message.finite(),
                   .loss = message.loss(),
                   .target_cosine = message.target_cosine(),
                   .reason = message.reason(),
                   .corrupt_records = message.corrupt_records(),
                   .wants_checkpoint = message.wants_checkpoint(),
                   .log_is_dropped = message.log_is_dropped()};
}

absl::StatusOr<ParticipantMessage> FromEvaluated(const v1::Evaluated& message) {
  if (!message.has_view()) return Missing("evaluated.view");
  EvaluationReport report{.view = FromProto(message.view()), .sets = {}, .problem = message.problem()};
  for (const v1::Verification& set : message.sets()) report.sets.push_back(FromProto(set));
  return report;
}

absl::StatusOr<ParticipantMessage> FromHeartbeat(const v1::Heartbeat& message) {
  HeartbeatReport report;
  if (message.has_stats()) {
    report.stats = FromProto(message.stats());
  }
  return report;
}

absl::StatusOr<ParticipantMessage> FromLeaving(const v1::Leaving& message) {
  if (message.reason().size() > kLongestReason) {
    return absl::InvalidArgumentError(
        absl::StrCat("leaving.reason has ", message.reason().size(), " bytes; it must have at most ", kLongestReason));
  }
  return LeavingReport{message.reason()};
}

absl::StatusOr<CoordinatorMessage> FromWelcome(const v1::Welcome& message) {
  const double interval = message.heartbeat_interval_seconds();
  if (!std::isfinite(interval) || interval < 0 || interval > kLongestHeartbeatInterval) {
    return absl::InvalidArgumentError(
        absl::StrCat("welcome.heartbeat_interval_seconds is ", interval, "; it must be from 0 to an hour"));
  }
  return Welcome{.id = message.id(),
                 .config_yaml = message.config_yaml(),
                 .incarnation = message.incarnation(),
                 .heartbeat_interval = absl::Seconds(interval),
                 .device = message.device(),
                 .token = message.token()};
}

absl::StatusOr<CoordinatorMessage> FromInstall(const v1::Install& message) {
  if (!message.has_view()) return Missing("install.view");
  ASSIGN_OR_RETURN(Next next, FromProto(message.next()));
  ASSIGN_OR_RETURN(RunCounters counters, FromProto(message.counters()));
  return Install{.view = FromProto(message.view()), .next = std::move(next), .counters = std::move(counters)};
}

absl::StatusOr<CoordinatorMessage> FromProceed(const v1::Proceed& message) {
  ASSIGN_OR_RETURN(Next next, FromProto(message.next()));
  ASSIGN_OR_RETURN(RunCounters counters, FromProto(message.counters()));
  return Proceed{.view = FromProto(message.view()), .next = std::move(next), .counters = std::move(counters)};
}

absl::StatusOr<CoordinatorMessage> FromCheckpointSettled(const v1::CheckpointSettled& message) {
  if (!message.has_state()) return Missing("checkpoint_settled.state");
  return CheckpointSettled{.state = FromProto(message.state()), .complete = message.complete()};
}

// Stores an alternative of ParticipantMessage in its field of the protobuf.
struct ParticipantPacker {
  v1::ParticipantMessage* out;

  void operator()(const Registration& registration) const { *out->mutable_register_() = ToProto(registration); }
  void operator()(const DatasetReport& dataset) const {
    out->mutable_dataset()->set_samples(dataset.samples);
    out->mutable_dataset()->set_classes(dataset.classes);
    out->mutable_dataset()->set_fingerprint(dataset.fingerprint);
  }
  void operator()(const JoinedReport& joined) const {
    v1::Joined* message = out->mutable_joined();
    *message->mutable_view() = ToProto(joined.view);
    message->set_verification_images(joined.verification_images);
    *message->mutable_state() = ToProto(joined.state);
    message->set_replayed_steps(joined.replayed_steps);
    message->set_rebuilt_in_seconds(joined.rebuilt_in_seconds);
  }
  void operator()(const ReadyVote& vote) const {
    v1::Ready* message = out->mutable_ready();
    *message->mutable_view() = ToProto(vote.view);
    message->set_step(vote.step);
    message->set_finite(vote.finite);
    message->set_loss(vote.loss);
    message->set_target_cosine(vote.target_cosine);
    message->set_reason(vote.reason);
    message->set_corrupt_records(vote.corrupt_records);
    message->set_wants_checkpoint(vote.wants_checkpoint);
    message->set_log_is_dropped(vote.log_is_dropped);
  }
  void operator()(const EvaluationReport& report) const {
    *out->mutable_evaluated()->mutable_view() = ToProto(report.view);
    for (const VerificationReport& set : report.sets) *out->mutable_evaluated()->add_sets() = ToProto(set);
    out->mutable_evaluated()->set_problem(report.problem);
  }
  void operator()(const FailureReport& failure) const {
    out->mutable_failure()->set_sentence(Shortened(failure.sentence));
    out->mutable_failure()->set_code(failure.code);
    if (failure.cause == FailureCause::kCheckpointUnreadable) {
      out->mutable_failure()->set_cause(v1::FAILURE_CAUSE_CHECKPOINT_UNREADABLE);
    }
  }
  void operator()(const FinishedReport&) const { out->mutable_finished(); }
  void operator()(const HeartbeatReport& report) const {
    v1::Heartbeat* message = out->mutable_heartbeat();
    if (report.stats.has_value()) *message->mutable_stats() = ToProto(*report.stats);
  }
  void operator()(const CheckpointReport& report) const { *out->mutable_checkpoint() = ToProto(report); }
  void operator()(const LeavingReport& report) const { out->mutable_leaving()->set_reason(report.reason); }
  void operator()(const LostPeersReport& report) const {
    v1::LostPeers* message = out->mutable_lost_peers();
    *message->mutable_view() = ToProto(report.view);
    message->mutable_shards()->Add(report.shards.begin(), report.shards.end());
    message->mutable_workers()->Add(report.workers.begin(), report.workers.end());
    message->set_sentence(Shortened(report.sentence));
  }
};

// Stores an alternative of CoordinatorMessage in its field of the protobuf.
struct CoordinatorPacker {
  v1::CoordinatorMessage* out;

  void operator()(const Welcome& welcome) const {
    v1::Welcome* message = out->mutable_welcome();
    message->set_id(welcome.id);
    message->set_config_yaml(welcome.config_yaml);
    message->set_incarnation(welcome.incarnation);
    message->set_heartbeat_interval_seconds(absl::ToDoubleSeconds(welcome.heartbeat_interval));
    message->set_device(welcome.device);
    message->set_token(welcome.token);
  }
  void operator()(const ViewAnnouncement& view) const { *out->mutable_view() = ToProto(view); }
  void operator()(const Install& install) const {
    *out->mutable_install()->mutable_view() = ToProto(install.view);
    *out->mutable_install()->mutable_next() = ToProto(install.next);
    *out->mutable_install()->mutable_counters() = ToProto(install.counters);
  }
  void operator()(const Decision& decision) const { *out->mutable_decision() = ToProto(decision); }
  void operator()(const Proceed& proceed) const {
    *out->mutable_proceed()->mutable_view() = ToProto(proceed.view);
    *out->mutable_proceed()->mutable_next() = ToProto(proceed.next);
    *out->mutable_proceed()->mutable_counters() = ToProto(proceed.counters);
  }
  void operator()(const CheckpointSettled& settled) const {
    *out->mutable_checkpoint_settled()->mutable_state() = ToProto(settled.state);
    out->mutable_checkpoint_settled()->set_complete(settled.complete);
  }
  void operator()(const Pulse&) const { out->mutable_pulse(); }
};

}  // namespace

v1::ParticipantMessage ToProto(const ParticipantMessage& message) {
  v1::ParticipantMessage out;
  std::visit(ParticipantPacker{&out}, message);
  return out;
}

std::vector<v1::ParticipantMessage> ToProtos(const ParticipantMessage& message) {
  if (const auto* const report = std::get_if<CheckpointReport>(&message)) return PiecesOf(*report);
  return {ToProto(message)};
}

v1::CoordinatorMessage ToProto(const CoordinatorMessage& message) {
  v1::CoordinatorMessage out;
  std::visit(CoordinatorPacker{&out}, message);
  return out;
}

absl::StatusOr<ParticipantMessage> FromProto(const v1::ParticipantMessage& message) {
  switch (message.message_case()) {
    case v1::ParticipantMessage::kRegister: {
      ASSIGN_OR_RETURN(Registration registration, FromProto(message.register_()));
      return registration;
    }
    case v1::ParticipantMessage::kDataset:
      return DatasetReport{.samples = message.dataset().samples(),
                           .classes = message.dataset().classes(),
                           .fingerprint = message.dataset().fingerprint()};
    case v1::ParticipantMessage::kJoined:
      return FromJoined(message.joined());
    case v1::ParticipantMessage::kReady:
      return FromReady(message.ready());
    case v1::ParticipantMessage::kEvaluated:
      return FromEvaluated(message.evaluated());
    case v1::ParticipantMessage::kFailure:
      return FailureReport{message.failure().sentence(), message.failure().code(),
                           message.failure().cause() == v1::FAILURE_CAUSE_CHECKPOINT_UNREADABLE
                               ? FailureCause::kCheckpointUnreadable
                               : FailureCause::kOther};
    case v1::ParticipantMessage::kFinished:
      return FinishedReport{};
    case v1::ParticipantMessage::kHeartbeat:
      return FromHeartbeat(message.heartbeat());
    case v1::ParticipantMessage::kCheckpoint: {
      ASSIGN_OR_RETURN(CheckpointReport report, FromProto(message.checkpoint()));
      return report;
    }
    case v1::ParticipantMessage::kLeaving:
      return FromLeaving(message.leaving());
    case v1::ParticipantMessage::kLostPeers:
      return FromLostPeers(message.lost_peers());
    case v1::ParticipantMessage::MESSAGE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("a participant's message is empty or of an unknown kind");
}

absl::StatusOr<CoordinatorMessage> FromProto(const v1::CoordinatorMessage& message) {
  switch (message.message_case()) {
    case v1::CoordinatorMessage::kWelcome:
      return FromWelcome(message.welcome());
    case v1::CoordinatorMessage::kView: {
      ASSIGN_OR_RETURN(ViewAnnouncement view, FromProto(message.view()));
      return view;
    }
    case v1::CoordinatorMessage::kInstall:
      return FromInstall(message.install());
    case v1::CoordinatorMessage::kDecision: {
      ASSIGN_OR_RETURN(Decision decision, FromProto(message.decision()));
      return decision;
    }
    case v1::CoordinatorMessage::kProceed:
      return FromProceed(message.proceed());
    case v1::CoordinatorMessage::kCheckpointSettled:
      return FromCheckpointSettled(message.checkpoint_settled());
    case v1::CoordinatorMessage::kPulse:
      return Pulse{};
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("the coordinator's message is empty or of an unknown kind");
}

}  // namespace arcshard
