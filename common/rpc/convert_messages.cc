#include "common/rpc/convert_messages.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/checkpoint_pieces.h"
#include "common/rpc/convert.h"

namespace arcshard {
namespace {

constexpr double kLongestHeartbeatInterval = 3600;  // seconds
constexpr size_t kLongestReason = 64;               // bytes, of Leaving
constexpr size_t kLongestName = 256;                // bytes of a host's name, a device's uuid and the like
constexpr int kMostDevices = 256;                   // that a machine has, each GPU in up to seven parts
constexpr size_t kLongestSentence = 16 << 10;       // bytes of a failure's

// At most kLongestSentence bytes of it, and no part of a character.
std::string Shortened(const std::string& sentence) {
  if (sentence.size() <= kLongestSentence) return sentence;
  size_t end = kLongestSentence;
  while (end > 0 && (static_cast<unsigned char>(sentence[end]) & 0xC0) == 0x80) --end;
  return absl::StrCat(sentence.substr(0, end), " ...");
}

absl::Status Missing(absl::string_view field) { return absl::InvalidArgumentError(absl::StrCat(field, " is missing")); }

absl::Status CheckName(absl::string_view field, const std::string& name) {
  if (name.size() <= kLongestName) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " has ", name.size(), " bytes; at most ", kLongestName, " are taken"));
}

absl::StatusOr<DeviceRequest> FromDeviceRequest(const v1::DeviceRequest& message) {
  if (message.devices_size() > kMostDevices) {
    return absl::InvalidArgumentError(absl::StrCat("register.device_request.devices has ", message.devices_size(),
                                                   " entries; at most ", kMostDevices, " are taken"));
  }
  RETURN_IF_ERROR(CheckName("register.device_request.machine", message.machine()));
  RETURN_IF_ERROR(CheckName("register.device_request.replica", message.replica()));
  RETURN_IF_ERROR(CheckName("register.device_request.held", message.held()));
  DeviceRequest request{.machine = message.machine(),
                        .replica = message.replica(),
                        .devices = {},
                        .held = message.held(),
                        .share = message.share()};
  for (const v1::Device& device : message.devices()) {
    RETURN_IF_ERROR(CheckName("register.device_request.devices.uuid", device.uuid()));
    RETURN_IF_ERROR(CheckName("register.device_request.devices.name", device.name()));
    request.devices.push_back({device.uuid(), device.name(), device.capacity_bytes()});
  }
  return request;
}

absl::StatusOr<ParticipantMessage> FromRegister(const v1::Register& message) {
  if (message.role() != v1::ROLE_SHARD && message.role() != v1::ROLE_WORKER) {
    return absl::InvalidArgumentError(
        absl::StrCat("register.role is ", static_cast<int>(message.role()), "; it must be ROLE_SHARD or ROLE_WORKER"));
  }
  RETURN_IF_ERROR(CheckName("register.address", message.address()));
  RETURN_IF_ERROR(CheckName("register.host", message.host()));
  Registration registration{.role = message.role() == v1::ROLE_SHARD ? Role::kShard : Role::kWorker,
                            .address = message.address(),
                            .host = message.host(),
                            .pid = message.pid(),
                            .capacity_bytes = message.capacity_bytes(),
                            .last_decided_step = message.last_decided_step(),
                            .lineage = message.lineage(),
                            .last_view = FromProto(message.last_view())};
  if (message.has_device_request()) {
    ASSIGN_OR_RETURN(registration.device_request, FromDeviceRequest(message.device_request()));
  }
  return registration;
}

absl::StatusOr<ParticipantMessage> FromReady(const v1::Ready& message) {
  if (!message.has_view()) return Missing("ready.view");
  return ReadyVote{.view = FromProto(message.view()),
                   .step = message.step(),
                   .finite = message.finite(),
                   .loss = message.loss(),
                   .target_cosine = message.target_cosine(),
                   .reason = message.reason(),
                   .corrupt_records = message.corrupt_records()};
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

// Stores an alternative of ParticipantMessage in its field of the protobuf.
struct ParticipantPacker {
  v1::ParticipantMessage* out;

  void operator()(const Registration& registration) const {
    v1::Register* message = out->mutable_register_();
    message->set_role(registration.role == Role::kShard ? v1::ROLE_SHARD : v1::ROLE_WORKER);
    message->set_address(registration.address);
    message->set_host(registration.host);
    message->set_pid(registration.pid);
    message->set_capacity_bytes(registration.capacity_bytes);
    message->set_last_decided_step(registration.last_decided_step);
    message->set_lineage(registration.lineage);
    *message->mutable_last_view() = ToProto(registration.last_view);
    if (!registration.device_request.has_value()) return;
    const DeviceRequest& request = *registration.device_request;
    v1::DeviceRequest* packed = message->mutable_device_request();
    packed->set_machine(request.machine);
    packed->set_replica(request.replica);
    packed->set_held(request.held);
    packed->set_share(request.share);
    for (const VisibleDevice& device : request.devices) {
      v1::Device* one = packed->add_devices();
      one->set_uuid(device.uuid);
      one->set_name(device.name);
      one->set_capacity_bytes(device.capacity_bytes);
    }
  }
  void operator()(const DatasetReport& dataset) const {
    out->mutable_dataset()->set_samples(dataset.samples);
    out->mutable_dataset()->set_classes(dataset.classes);
    out->mutable_dataset()->set_fingerprint(dataset.fingerprint);
  }
  void operator()(const JoinedReport& joined) const {
    *out->mutable_joined()->mutable_view() = ToProto(joined.view);
    out->mutable_joined()->set_verification_images(joined.verification_images);
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
  void operator()(const Decision& decision) const { *out->mutable_decision() = ToProto(decision); }
  void operator()(const Proceed& proceed) const {
    *out->mutable_proceed()->mutable_view() = ToProto(proceed.view);
    *out->mutable_proceed()->mutable_next() = ToProto(proceed.next);
  }
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
    case v1::ParticipantMessage::kRegister:
      return FromRegister(message.register_());
    case v1::ParticipantMessage::kDataset:
      return DatasetReport{.samples = message.dataset().samples(),
                           .classes = message.dataset().classes(),
                           .fingerprint = message.dataset().fingerprint()};
    case v1::ParticipantMessage::kJoined:
      if (!message.joined().has_view()) return Missing("joined.view");
      return JoinedReport{FromProto(message.joined().view()), message.joined().verification_images()};
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
    case v1::CoordinatorMessage::kDecision: {
      ASSIGN_OR_RETURN(Decision decision, FromProto(message.decision()));
      return decision;
    }
    case v1::CoordinatorMessage::kProceed: {
      ASSIGN_OR_RETURN(Next next, FromProto(message.proceed().next()));
      return Proceed{.view = FromProto(message.proceed().view()), .next = std::move(next)};
    }
    case v1::CoordinatorMessage::MESSAGE_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("the coordinator's message is empty or of an unknown kind");
}

}  // namespace arcshard
