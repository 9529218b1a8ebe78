#include "coordinator/codec.h"

#include "absl/strings/str_cat.h"
#include "common/rpc/convert.h"

namespace arcshard::coordinator {
namespace {

absl::Status Missing(absl::string_view field) { return absl::InvalidArgumentError(absl::StrCat(field, " is missing")); }

absl::StatusOr<ParticipantMessage> FromRegister(const v1::Register& message) {
  if (message.role() != v1::ROLE_SHARD && message.role() != v1::ROLE_WORKER) {
    return absl::InvalidArgumentError(
        absl::StrCat("register.role is ", static_cast<int>(message.role()), "; it must be ROLE_SHARD or ROLE_WORKER"));
  }
  return Registration{.role = message.role() == v1::ROLE_SHARD ? Role::kShard : Role::kWorker,
                      .address = message.address(),
                      .host = message.host(),
                      .pid = message.pid(),
                      .capacity_bytes = message.capacity_bytes(),
                      .last_decided_step = message.last_decided_step(),
                      .lineage = message.lineage(),
                      .last_view = arcshard::FromProto(message.last_view())};
}

absl::StatusOr<ParticipantMessage> FromReady(const v1::Ready& message) {
  if (!message.has_view()) return Missing("ready.view");
  return ReadyVote{.view = arcshard::FromProto(message.view()),
                   .step = message.step(),
                   .finite = message.finite(),
                   .loss = message.loss(),
                   .target_cosine = message.target_cosine(),
                   .reason = message.reason(),
                   .corrupt_records = message.corrupt_records()};
}

absl::StatusOr<ParticipantMessage> FromEvaluated(const v1::Evaluated& message) {
  if (!message.has_view()) return Missing("evaluated.view");
  EvaluationReport report{arcshard::FromProto(message.view()), {}};
  for (const v1::Verification& set : message.sets()) {
    report.sets.push_back({set.name(), set.accuracy(), set.std(), set.threshold(), set.pairs(), set.xnorm()});
  }
  return report;
}

v1::Progress::Phase ToProto(Phase phase) {
  switch (phase) {
    case Phase::kGathering:
      return v1::Progress::PHASE_GATHERING;
    case Phase::kJoining:
      return v1::Progress::PHASE_JOINING;
    case Phase::kTraining:
      return v1::Progress::PHASE_TRAINING;
    case Phase::kEvaluating:
      return v1::Progress::PHASE_EVALUATING;
    case Phase::kStopping:
      return v1::Progress::PHASE_STOPPING;
    case Phase::kFinished:
      return v1::Progress::PHASE_FINISHED;
    case Phase::kFailed:
      return v1::Progress::PHASE_FAILED;
  }
  return v1::Progress::PHASE_UNSPECIFIED;
}

// Puts one alternative of CoordinatorMessage where it belongs.
struct Packer {
  v1::CoordinatorMessage* out;

  void operator()(const Welcome& welcome) const {
    v1::Welcome* message = out->mutable_welcome();
    message->set_id(welcome.id);
    message->set_config_yaml(welcome.config_yaml);
    message->set_incarnation(welcome.incarnation);
  }
  void operator()(const ViewAnnouncement& view) const { *out->mutable_view() = arcshard::ToProto(view); }
  void operator()(const Decision& decision) const { *out->mutable_decision() = arcshard::ToProto(decision); }
  void operator()(const Proceed& proceed) const {
    *out->mutable_proceed()->mutable_view() = arcshard::ToProto(proceed.view);
    *out->mutable_proceed()->mutable_next() = arcshard::ToProto(proceed.next);
  }
};

}  // namespace

absl::StatusOr<ParticipantMessage> FromProto(const v1::ParticipantMessage& message) {
  switch (message.message_case()) {
    case v1::ParticipantMessage::kRegister:
      return FromRegister(message.register_());
    case v1::ParticipantMessage::kDataset:
      return DatasetReport{message.dataset().samples(), message.dataset().classes(), message.dataset().fingerprint()};
    case v1::ParticipantMessage::kJoined:
      if (!message.joined().has_view()) return Missing("joined.view");
      return JoinedReport{arcshard::FromProto(message.joined().view())};
    case v1::ParticipantMessage::kReady:
      return FromReady(message.ready());
    case v1::ParticipantMessage::kEvaluated:
      return FromEvaluated(message.evaluated());
    case v1::ParticipantMessage::kFailure:
      return FailureReport{message.failure().sentence(), message.failure().code()};
    case v1::ParticipantMessage::kFinished:
      return FinishedReport{};
    case v1::ParticipantMessage::kHeartbeat:
      return HeartbeatReport{};
    case v1::ParticipantMessage::MESSAGE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("a participant's message is empty or of an unknown kind");
}

v1::CoordinatorMessage ToProto(const CoordinatorMessage& message) {
  v1::CoordinatorMessage out;
  std::visit(Packer{&out}, message);
  return out;
}

v1::Progress ToProto(const Progress& progress) {
  v1::Progress out;
  out.set_phase(ToProto(progress.phase));
  out.set_waiting_for(progress.waiting_for);
  out.set_step(progress.step);
  out.set_steps(progress.steps);
  out.set_epoch(progress.epoch);
  out.set_epochs(progress.epochs);
  out.set_loss(progress.loss);
  out.set_target_cosine(progress.target_cosine);
  out.set_lr(progress.lr);
  out.set_samples_per_second(progress.samples_per_second);
  out.set_eta_seconds(progress.eta_seconds);
  out.set_skipped(progress.skipped);
  out.set_corrupt_records(progress.corrupt_records);
  for (const VerificationResult& result : progress.verification) {
    v1::Verification* set = out.add_verification();
    set->set_name(result.name);
    set->set_accuracy(result.accuracy);
    set->set_std(result.std);
    set->set_threshold(result.threshold);
    set->set_pairs(result.pairs);
    set->set_xnorm(result.xnorm);
  }
  out.set_verification_step(progress.verification_step);
  return out;
}

}  // namespace arcshard::coordinator
