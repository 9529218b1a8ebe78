#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace arcshard {

// The causes of failure that a program acts on. The message of a status is for people; no code may search it.
enum class FailureCause {
  kOther = 0,
  // The checkpoint that the run was to resume from is damaged or incomplete. With `--allow-older` it resumes from the
  // one before.
  kCheckpointUnreadable = 1,
  // A shard or worker was told to end, so the run was stopped in order, with a checkpoint and its model.
  kMemberLeft = 2,
};

// Travels on an absl::Status as a payload; Annotate keeps it. Between processes it travels in coordinator.proto's
// Failure, and from the coordinator to `arcshard train` as the text of ToString.
struct FailureDetails {
  FailureCause cause = FailureCause::kOther;
  int64_t pid = 0;  // the process that failed, by its number on its host; 0: unknown
  friend bool operator==(const FailureDetails&, const FailureDetails&) = default;
};

// The same error with these details. Requires that `status` is not OK.
absl::Status WithDetails(absl::Status status, const FailureDetails& details);
// The details of an error; the defaults if it carries none.
FailureDetails DetailsOf(const absl::Status& status);

// Marks an error of reading a checkpoint with the cause kCheckpointUnreadable if the bytes themselves are at fault
// (DataLoss and NotFound), so that no retry can succeed. Other errors, and OK, are returned unchanged.
absl::Status BlameCheckpoint(absl::Status status);

// "checkpoint_unreadable 27036", and back; nullopt if the text is not of that form.
std::string ToString(const FailureDetails& details);
std::optional<FailureDetails> ParseFailureDetails(absl::string_view text);

}  // namespace arcshard
