#include "common/rpc/convert/convert_reports.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/convert/check_fields.h"
#include "common/rpc/convert/convert.h"

namespace arcshard {
namespace {

constexpr size_t kMostAcceptRates = 16;
constexpr size_t kMostPhases = 32;
constexpr size_t kLongestPhaseName = 32;  // bytes
constexpr size_t kLongestFileName = 255;  // bytes

bool IsPhaseName(const std::string& name) {
  if (name.empty() || name.size() > kLongestPhaseName) return false;
  for (const unsigned char c : name) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '_') return false;
  }
  return true;
}

std::vector<uint32_t> MembersOf(const google::protobuf::RepeatedField<uint32_t>& ids, uint64_t* odd) {
  const int taken = std::min(ids.size(), static_cast<int>(kMostMembers));
  *odd += static_cast<uint64_t>(ids.size() - taken);
  return {ids.begin(), ids.begin() + taken};
}

Waiting FromProto(const v1::Waiting& message, uint64_t* odd) {
  return {.view = arcshard::FromProto(message.view()),
          .shards = MembersOf(message.shards(), odd),
          .workers = MembersOf(message.workers(), odd),
          .all_reduce = message.all_reduce(),
          .coordinator = message.coordinator(),
          .seconds = TimeOrZero(message.seconds(), odd)};
}

v1::Waiting ToProto(const Waiting& waiting) {
  v1::Waiting out;
  *out.mutable_view() = arcshard::ToProto(waiting.view);
  out.mutable_shards()->Add(waiting.shards.begin(), waiting.shards.end());
  out.mutable_workers()->Add(waiting.workers.begin(), waiting.workers.end());
  out.set_all_reduce(waiting.all_reduce);
  out.set_coordinator(waiting.coordinator);
  out.set_seconds(waiting.seconds);
  return out;
}

// Whether `name` can only be that of a file in the checkpoint's own folder; the sender is not trusted.
bool IsFileName(const std::string& name) {
  if (name.empty() || name.size() > kLongestFileName || name.front() == '.') return false;
  for (const unsigned char c : name) {
    if (!absl::ascii_isalnum(c) && c != '_' && c != '-' && c != '.') return false;
  }
  return true;
}

absl::StatusOr<FileRecord> FromProto(const v1::CheckpointFile& message) {
  if (!IsFileName(message.name())) {
    return absl::InvalidArgumentError(
        "checkpoint.files has a name that is empty, too long or not of letters, digits, -, _ and .");
  }
  const uint64_t blocks = message.bytes() / FileRecord::kBlockBytes + (message.bytes() % FileRecord::kBlockBytes != 0);
  if (static_cast<uint64_t>(message.block_crc32c_size()) != blocks) {
    return absl::InvalidArgumentError(absl::StrCat("checkpoint.files: ", message.name(), " has ", message.bytes(),
                                                   " bytes in ", message.block_crc32c_size(), " blocks, not in ",
                                                   blocks));
  }
  return FileRecord{.name = message.name(),
                    .bytes = message.bytes(),
                    .crc32c = message.crc32c(),
                    .block_crc32c = {message.block_crc32c().begin(), message.block_crc32c().end()}};
}

}  // namespace

v1::Verification ToProto(const VerificationReport& report) {
  v1::Verification out;
  out.set_name(report.name);
  out.set_accuracy(report.accuracy);
  out.set_std(report.std);
  out.set_threshold(report.threshold);
  out.set_pairs(report.pairs);
  out.set_xnorm(report.xnorm);
  out.set_overall_accuracy(report.overall_accuracy);
  out.set_overall_threshold(report.overall_threshold);
  out.set_different_pairs(report.different_pairs);
  for (const AcceptRate& rate : report.accept_rates) {
    v1::AcceptRate* message = out.add_accept_rates();
    message->set_far(rate.far);
    message->set_tar(rate.tar);
    message->set_false_accepts(rate.false_accepts);
  }
  return out;
}

v1::PhaseTime ToProto(const PhaseTime& phase) {
  v1::PhaseTime out;
  out.set_name(phase.name);
  out.set_count(phase.count);
  out.set_seconds(phase.seconds);
  return out;
}

v1::ParticipantStats ToProto(const ParticipantStats& stats) {
  v1::ParticipantStats out;
  out.set_resident_bytes(stats.resident_bytes);
  out.set_held_bytes(stats.held_bytes);
  for (const PhaseTime& phase : stats.phases) *out.add_phases() = ToProto(phase);
  out.set_verified_images(stats.verified_images);
  out.set_images_to_verify(stats.images_to_verify);
  out.set_log_bytes(stats.log_bytes);
  out.set_replay_seconds(stats.replay_seconds);
  if (stats.waiting.waits()) *out.mutable_waiting() = ToProto(stats.waiting);
  return out;
}

v1::CheckpointReport ToProto(const CheckpointReport& report) {
  v1::CheckpointReport out;
  *out.mutable_view() = ToProto(report.view);
  out.set_step(report.step);
  for (const FileRecord& file : report.files) {
    v1::CheckpointFile* message = out.add_files();
    message->set_name(file.name);
    message->set_bytes(file.bytes);
    message->set_crc32c(file.crc32c);
    message->mutable_block_crc32c()->Add(file.block_crc32c.begin(), file.block_crc32c.end());
  }
  if (!report.status.ok()) {
    out.set_error(std::string(report.status.message()));
    out.set_code(report.status.raw_code());
  }
  out.set_seconds(absl::ToDoubleSeconds(report.took));
  return out;
}

VerificationReport FromProto(const v1::Verification& message) {
  VerificationReport report = {.name = message.name(),
                               .accuracy = message.accuracy(),
                               .std = message.std(),
                               .threshold = message.threshold(),
                               .pairs = message.pairs(),
                               .xnorm = message.xnorm(),
                               .overall_accuracy = message.overall_accuracy(),
                               .overall_threshold = message.overall_threshold(),
                               .different_pairs = message.different_pairs()};
  for (const v1::AcceptRate& rate : message.accept_rates()) {
    if (report.accept_rates.size() < kMostAcceptRates) {
      report.accept_rates.push_back({.far = rate.far(), .tar = rate.tar(), .false_accepts = rate.false_accepts()});
    } else {
      ++report.odd;
    }
  }
  return report;
}

ParticipantStats FromProto(const v1::ParticipantStats& message) {
  ParticipantStats stats = {.resident_bytes = message.resident_bytes(),
                            .held_bytes = message.held_bytes(),
                            .phases = {},
                            .verified_images = message.verified_images(),
                            .images_to_verify = message.images_to_verify(),
                            .log_bytes = message.log_bytes()};
  stats.replay_seconds = TimeOrZero(message.replay_seconds(), &stats.odd);
  if (message.has_waiting()) stats.waiting = FromProto(message.waiting(), &stats.odd);
  for (const v1::PhaseTime& phase : message.phases()) {
    if (IsPhaseName(phase.name()) && IsTime(phase.seconds()) && stats.phases.size() < kMostPhases) {
      stats.phases.push_back({.name = phase.name(), .count = phase.count(), .seconds = phase.seconds()});
    } else {
      ++stats.odd;
    }
  }
  return stats;
}

absl::StatusOr<CheckpointReport> FromProto(const v1::CheckpointReport& message) {
  if (!message.has_view()) return Missing("checkpoint.view");
  RETURN_IF_ERROR(CheckCount("checkpoint.files", message.files_size(), kMostFilesOfAPart));
  CheckpointReport report{.view = arcshard::FromProto(message.view()), .step = message.step()};
  report.took = absl::Seconds(TimeOrZero(message.seconds(), &report.odd));
  for (const v1::CheckpointFile& file : message.files()) {
    ASSIGN_OR_RETURN(FileRecord record, FromProto(file));
    report.files.push_back(std::move(record));
  }
  if (!message.error().empty() || message.code() != 0) {
    const bool known = message.code() > 0 && message.code() <= static_cast<int>(absl::StatusCode::kUnauthenticated);
    report.status = absl::Status(known ? static_cast<absl::StatusCode>(message.code()) : absl::StatusCode::kUnknown,
                                 message.error());
  }
  return report;
}

}  // namespace arcshard
