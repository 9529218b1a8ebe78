#include "common/base/failure_details.h"

#include <array>
#include <cassert>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace arcshard {
namespace {

constexpr absl::string_view kPayload = "arcshard/failure_details";
// The text of each cause, in the order of FailureCause.
constexpr std::array<absl::string_view, 3> kCauses = {"other", "checkpoint_unreadable", "member_left"};

}  // namespace

absl::Status WithDetails(absl::Status status, const FailureDetails& details) {
  assert(!status.ok());
  status.SetPayload(kPayload, absl::Cord(ToString(details)));
  return status;
}

FailureDetails DetailsOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayload);
  if (!payload.has_value()) return {};
  return ParseFailureDetails(std::string(*payload)).value_or(FailureDetails{});
}

absl::Status BlameCheckpoint(absl::Status status) {
  if (!absl::IsDataLoss(status) && !absl::IsNotFound(status)) return status;
  FailureDetails details = DetailsOf(status);
  details.cause = FailureCause::kCheckpointUnreadable;
  return WithDetails(std::move(status), details);
}

std::string ToString(const FailureDetails& details) {
  return absl::StrCat(kCauses[static_cast<size_t>(details.cause)], " ", details.pid);
}

std::optional<FailureDetails> ParseFailureDetails(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  FailureDetails details;
  if (words.size() != 2 || !absl::SimpleAtoi(words[1], &details.pid)) return std::nullopt;
  size_t cause = 0;
  while (cause < kCauses.size() && kCauses[cause] != words[0]) ++cause;
  if (cause == kCauses.size()) return std::nullopt;
  details.cause = static_cast<FailureCause>(cause);
  if (ToString(details) != text) return std::nullopt;  // SimpleAtoi accepts blanks and a sign
  return details;
}

}  // namespace arcshard
