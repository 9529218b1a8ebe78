#include "common/base/failure_details.h"

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
constexpr absl::string_view kOther = "other";
constexpr absl::string_view kCheckpointUnreadable = "checkpoint_unreadable";

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
  const bool checkpoint = details.cause == FailureCause::kCheckpointUnreadable;
  return absl::StrCat(checkpoint ? kCheckpointUnreadable : kOther, " ", details.pid);
}

std::optional<FailureDetails> ParseFailureDetails(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  FailureDetails details;
  if (words.size() != 2 || !absl::SimpleAtoi(words[1], &details.pid)) return std::nullopt;
  if (words[0] == kCheckpointUnreadable) {
    details.cause = FailureCause::kCheckpointUnreadable;
  } else if (words[0] != kOther) {
    return std::nullopt;
  }
  if (ToString(details) != text) return std::nullopt;  // SimpleAtoi accepts blanks and a sign
  return details;
}

}  // namespace arcshard
