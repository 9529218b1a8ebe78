#include "cli/supervision/first_failure.h"

#include <csignal>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace arcshard::cli {
namespace {

// What a SIGKILL may mean that the launcher did not send.
constexpr absl::string_view kMaybeMemory =
    ": memory may have run out (the kernel's OOM killer, or a container's memory limit)";

}  // namespace

std::string ProgramOf(Role role) {
  switch (role) {
    case Role::kCoordinator:
      return "arcshard-coordinator";
    case Role::kShard:
      return "arcshard-shard";
    case Role::kWorker:
      return "arcshard-worker";
  }
  return "";
}

bool FailedByItself(const EndedProcess& process) {
  return !process.exit.ok() && !process.killed_by_us && !process.survived;
}

size_t ChooseFailure(const std::vector<EndedProcess>& ended, int64_t blamed, absl::Duration blame_window) {
  const size_t none = ended.size();
  size_t first = none, coordinator = none;
  for (size_t i = 0; i < ended.size(); ++i) {
    if (!FailedByItself(ended[i])) continue;
    if (first == none) first = i;
    if (ended[i].exit.signal != 0 && ended[i].at - ended[first].at <= blame_window) return i;
    if (ended[i].role == Role::kCoordinator) coordinator = i;
  }
  if (coordinator == none) return first;

  for (size_t i = 0; i < ended.size(); ++i) {
    if (blamed != 0 && ended[i].pid == blamed && FailedByItself(ended[i])) return i;
  }
  return coordinator;
}

std::string DescribeEnd(const EndedProcess& process) {
  std::string sentence = ProgramOf(process.role);
  if (process.role != Role::kCoordinator) absl::StrAppend(&sentence, " ", process.index);
  if (process.survived && process.pid != 0) absl::StrAppend(&sentence, " (pid ", process.pid, ")");
  absl::StrAppend(&sentence, " ");
  if (process.exit.signal != 0) {
    absl::StrAppend(&sentence, Describe(process.exit));
    if (process.exit.signal == SIGKILL && !process.killed_by_us) absl::StrAppend(&sentence, kMaybeMemory);
  } else if (process.last_error.empty()) {
    absl::StrAppend(&sentence, Describe(process.exit), " without an error message");
  } else {
    absl::StrAppend(&sentence, "failed: ", process.last_error);
  }
  return sentence;
}

std::string DescribeFailure(const EndedProcess& process) {
  return absl::StrCat(DescribeEnd(process), process.remark.empty() ? "" : absl::StrCat("; ", process.remark),
                      "; its log is ", process.log);
}

}  // namespace arcshard::cli
