#include "coordinator/progress/recovery.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace arcshard::coordinator {
namespace {

constexpr size_t kMostListed = 4;  // in a sentence

std::string Listed(const std::vector<std::string>& all) {
  if (all.size() <= kMostListed) return absl::StrJoin(all, "; ");
  const auto listed = all.begin() + static_cast<std::ptrdiff_t>(kMostListed);
  return absl::StrCat(absl::StrJoin(all.begin(), listed, "; "), "; and ", all.size() - kMostListed, " more");
}

std::string Seconds(absl::Duration duration) {
  if (duration < absl::Milliseconds(1)) return "less than 1ms";
  return absl::FormatDuration(absl::Trunc(duration, absl::Milliseconds(1)));
}

}  // namespace

void Recovery::Begin(MonotonicTime since, std::string event) {
  if (events_.empty()) since_ = since;
  events_.push_back(std::move(event));
}

void Recovery::LoseMember(const Member& member, absl::string_view when, absl::string_view why, MonotonicTime now) {
  const LostRole role = member.registration.role == Role::kShard ? LostRole::kShard : LostRole::kWorker;
  LostMember lost{role, member.Name(), absl::StrCat(when, ": ", why)};
  Begin(now, absl::StrCat(lost.name, " was lost ", lost.why));
  summary_.lost.push_back(std::move(lost));
}

void Recovery::LoseCoordinator(uint64_t incarnation, MonotonicTime since) {
  Begin(since, absl::StrCat("the coordinator was lost and is back as incarnation ", incarnation));
  summary_.lost.push_back({LostRole::kCoordinator, "the coordinator", ""});
}

void Recovery::LoseConnections(absl::string_view why, MonotonicTime now) {
  Begin(now, absl::StrCat("all members connect anew: ", why));
}

std::string Recovery::RollBack(uint64_t from, uint64_t to, absl::string_view checkpoint, absl::string_view why) {
  assert(from > to);
  summary_.lost_steps += from - to;
  std::string sentence =
      absl::StrCat("the run goes back from step ", from, " to step ", to, ", ",
                   checkpoint.empty() ? "the first weights" : absl::StrCat("the checkpoint ", checkpoint), ", and ",
                   from - to, from - to == 1 ? " step is" : " steps are", " lost, because ", why);
  rollbacks_.push_back(sentence);
  return sentence;
}

void Recovery::Joined(absl::string_view name, const JoinedReport& report) {
  if (!active()) return;  // the run begins
  const absl::Duration took = absl::Seconds(report.rebuilt_in_seconds);
  if (report.replayed_steps > 0) {
    rebuilt_.push_back(absl::StrCat(name, " has replayed ", report.replayed_steps, " steps in ", Seconds(took)));
    summary_.replayed_steps = std::max(summary_.replayed_steps, report.replayed_steps);
  } else if (took > absl::ZeroDuration()) {
    rebuilt_.push_back(absl::StrCat(name, " has taken over the state in ", Seconds(took)));
  }
}

std::string Recovery::Losses() const { return Listed(events_); }

RecoverySummary Recovery::End(uint64_t step, MonotonicTime now) {
  assert(active());
  RecoverySummary summary = std::exchange(summary_, {});
  summary.step = step;
  summary.took = now - since_;
  std::vector<std::string> parts = {Losses()};
  parts.insert(parts.end(), rollbacks_.begin(), rollbacks_.end());
  if (!rebuilt_.empty()) parts.push_back(Listed(rebuilt_));
  parts.push_back(absl::StrCat("the run goes on after step ", step, ", ", Seconds(summary.took), " later"));
  summary.sentence = absl::StrJoin(parts, "; ");
  events_.clear();
  rollbacks_.clear();
  rebuilt_.clear();
  return summary;
}

}  // namespace arcshard::coordinator
