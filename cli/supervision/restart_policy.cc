#include "cli/supervision/restart_policy.h"

#include <algorithm>
#include <csignal>
#include <cstddef>

#include "absl/strings/str_cat.h"

namespace arcshard::cli {
namespace {

// Whether whoever sent this signal wanted the process to end.
bool AsksToEnd(int signal) { return signal == SIGTERM || signal == SIGINT || signal == SIGHUP || signal == SIGQUIT; }

}  // namespace

RestartPolicy::Verdict RestartPolicy::Died(Role role, uint32_t index, const ProcessExit& exit, MonotonicTime now) {
  if (exit.signal == 0 || AsksToEnd(exit.signal)) return {};
  return DiedBlameless(role, index, now);
}

RestartPolicy::Verdict RestartPolicy::DiedBlameless(Role role, uint32_t index, MonotonicTime now) {
  if (options_.max_restarts == 0) return {};
  std::deque<MonotonicTime>& recent = deaths_[{role, index}];
  while (!recent.empty() && now - recent.front() >= options_.window) recent.pop_front();
  if (recent.size() >= options_.max_restarts) {
    return {.restart_at = std::nullopt,
            .clause = absl::StrCat("it had been started again ", recent.size(), recent.size() == 1 ? " time" : " times",
                                   " within ", absl::FormatDuration(options_.window), " (--max-restarts)")};
  }
  absl::Duration wait = recent.empty() ? absl::ZeroDuration() : options_.back_off;
  for (size_t i = 1; i < recent.size() && wait < options_.longest_back_off; ++i) wait *= 2;
  wait = std::min(wait, options_.longest_back_off);
  recent.push_back(now);
  return {
      .restart_at = now + wait,
      .clause = absl::StrCat("it is started again ",
                             wait == absl::ZeroDuration() ? "at once" : absl::StrCat("in ", absl::FormatDuration(wait)),
                             " (restart ", recent.size(), " of at most ", options_.max_restarts, " within ",
                             absl::FormatDuration(options_.window), ")")};
}

}  // namespace arcshard::cli
