#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Paths as people write them in configurations.
namespace arcshard {

// Replaces what a shell would replace: ~ at the beginning of a path by the home folder, $NAME and ${NAME} by the
// variable of the environment. $$ is a dollar sign, $` a backtick, and a $ with none of those behind it is itself.
// InvalidArgument: a variable is not set, the path begins with ~name, or it has what only a shell replaces: ${NAME:-x},
// $(command), `command`, $1; the message lacks its subject, and says the remedy.
absl::StatusOr<std::string> ExpandPath(absl::string_view text);

// The text that ExpandPath makes `path` of.
std::string EscapePath(absl::string_view path);

}  // namespace arcshard
