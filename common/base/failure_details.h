#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace arcshard {

// What of an error somebody acts on. The message of a status is for people; nothing may search it.
enum class FailureCause {
  kOther = 0,
  // The checkpoint that the run was to continue from is damaged or incomplete. `--allow-older` takes the one before it.
  kCheckpointUnreadable = 1,
};

// Travels on an absl::Status as a payload; Annotate keeps it. Between processes it travels in coordinator.proto's
// Failure, and from the coordinator to `arcshard train` as the text of ToString.
struct FailureDetails {
  FailureCause cause = FailureCause::kOther;
  int64_t pid = 0;  // of the process whose failure it is, as its host counts it; 0: none in particular
  friend bool operator==(const FailureDetails&, const FailureDetails&) = default;
};

// The same error with these details. `status` is not OK.
absl::Status WithDetails(absl::Status status, const FailureDetails& details);
// Those of an error; the defaults where it carries none.
FailureDetails DetailsOf(const absl::Status& status);

// Gives the error of reading a checkpoint the cause kCheckpointUnreadable if the bytes themselves are to blame, which
// is DataLoss and NotFound: no second attempt could succeed. Others, and OK, stay as they are.
absl::Status BlameCheckpoint(absl::Status status);

// "checkpoint_unreadable 27036", and back; nullopt where the text is none.
std::string ToString(const FailureDetails& details);
std::optional<FailureDetails> ParseFailureDetails(absl::string_view text);

}  // namespace arcshard
