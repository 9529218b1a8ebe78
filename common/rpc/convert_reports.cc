#include "common/rpc/convert_reports.h"

#include <cmath>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace arcshard {
namespace {

constexpr int kMostAcceptRates = 16;
constexpr int kMostPhases = 32;
constexpr size_t kLongestPhaseName = 32;  // bytes

bool IsPhaseName(const std::string& name) {
  if (name.empty() || name.size() > kLongestPhaseName) return false;
  for (const unsigned char c : name) {
    if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '_') return false;
  }
  return true;
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
  return out;
}

absl::StatusOr<VerificationReport> FromProto(const v1::Verification& message) {
  if (message.accept_rates_size() > kMostAcceptRates) {
    return absl::InvalidArgumentError(absl::StrCat("verification.accept_rates has ", message.accept_rates_size(),
                                                   " entries; at most ", kMostAcceptRates, " are taken"));
  }
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
    report.accept_rates.push_back({.far = rate.far(), .tar = rate.tar(), .false_accepts = rate.false_accepts()});
  }
  return report;
}

absl::StatusOr<ParticipantStats> FromProto(const v1::ParticipantStats& message) {
  if (message.phases_size() > kMostPhases) {
    return absl::InvalidArgumentError(absl::StrCat("heartbeat.stats.phases has ", message.phases_size(),
                                                   " entries; at most ", kMostPhases, " are taken"));
  }
  ParticipantStats stats = {
      .resident_bytes = message.resident_bytes(), .held_bytes = message.held_bytes(), .phases = {}};
  for (const v1::PhaseTime& phase : message.phases()) {
    if (!IsPhaseName(phase.name())) {
      return absl::InvalidArgumentError(
          "heartbeat.stats.phases has a name that is empty, too long or not of a to z, 0 to 9 and _");
    }
    if (!std::isfinite(phase.seconds()) || phase.seconds() < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("heartbeat.stats.phases: the seconds of ", phase.name(), " are ", phase.seconds()));
    }
    stats.phases.push_back({.name = phase.name(), .count = phase.count(), .seconds = phase.seconds()});
  }
  return stats;
}

}  // namespace arcshard
