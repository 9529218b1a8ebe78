#include "bench/service/trace_figures.h"

#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"

namespace arcshard::bench {
namespace {

using Interval = std::pair<double, double>;

// Of the training loop and the executor, by which a process computes; "send" and "sum" lie within some of them and do
// not count.
constexpr const char* kComputes[] = {"forward", "loss",   "backward", "all_reduce", "optimizer",
                                     "begin",   "pass_1", "gradient", "pass_2"};
constexpr const char* kWithin[] = {"send", "sum"};

bool IsOneOf(const std::string& name, absl::Span<const char* const> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool IsOfMainRow(const TracedSpan& span) { return span.row == "training loop" || span.row == "executor"; }

// "shard" of "shard 0".
std::string RoleOf(const std::string& process) { return process.substr(0, process.find(' ')); }

// Sorted and without overlaps.
std::vector<Interval> Union(std::vector<Interval> intervals) {
  std::sort(intervals.begin(), intervals.end());
  std::vector<Interval> joined;
  for (const Interval& interval : intervals) {
    if (joined.empty() || interval.first > joined.back().second) {
      joined.push_back(interval);
    } else {
      joined.back().second = std::max(joined.back().second, interval.second);
    }
  }
  return joined;
}

// What is in `from` and not in `what`; both are as Union returns them.
std::vector<Interval> Without(const std::vector<Interval>& from, const std::vector<Interval>& what) {
  std::vector<Interval> rest;
  for (Interval interval : from) {
    for (const Interval& hole : what) {
      if (hole.second <= interval.first || hole.first >= interval.second) continue;
      if (hole.first > interval.first) rest.emplace_back(interval.first, hole.first);
      interval.first = std::min(hole.second, interval.second);
    }
    if (interval.second > interval.first) rest.push_back(interval);
  }
  return rest;
}

double Length(const std::vector<Interval>& intervals) {
  double length = 0.0;
  for (const auto& [begin, end] : intervals) length += end - begin;
  return length;
}

std::optional<Interval> Within(const TracedSpan& span, const Interval& window) {
  const Interval cut = {std::max(span.begin, window.first), std::min(span.end, window.second)};
  return cut.second > cut.first ? std::optional(cut) : std::nullopt;
}

// When a process computes.
std::vector<Interval> Computing(const std::vector<TracedSpan>& spans, const std::string& process,
                                const Interval& window) {
  std::vector<Interval> computes, within;
  for (const TracedSpan& span : spans) {
    if (span.process != process || !IsOfMainRow(span)) continue;
    const std::optional<Interval> cut = Within(span, window);
    if (!cut.has_value()) continue;
    if (IsOneOf(span.name, kComputes)) computes.push_back(*cut);
    if (IsOneOf(span.name, kWithin)) within.push_back(*cut);
  }
  return Without(Union(std::move(computes)), Union(std::move(within)));
}

void AddPhases(const std::vector<TracedSpan>& spans, const Interval& window, StepFigures* figures) {
  for (const TracedSpan& span : spans) {
    if (!IsOfMainRow(span)) continue;
    const std::optional<Interval> cut = Within(span, window);
    if (cut.has_value()) figures->phase_ms[{RoleOf(span.process), span.name}] += cut->second - cut->first;
  }
}

}  // namespace

absl::StatusOr<std::vector<TracedSpan>> SpansOf(const nlohmann::json& trace) {
  if (!trace.is_array()) return absl::InvalidArgumentError("a trace is an array of events");
  std::map<uint64_t, std::string> processes;
  std::map<std::pair<uint64_t, uint64_t>, std::string> rows;
  std::vector<TracedSpan> spans;
  try {
    for (const nlohmann::json& event : trace) {
      const auto process = event.at("pid").get<uint64_t>();
      const auto name = event.at("name").get<std::string>();
      if (name == "process_name") processes[process] = event.at("args").at("name").get<std::string>();
      if (name == "thread_name") {
        rows[{process, event.at("tid").get<uint64_t>()}] = event.at("args").at("name").get<std::string>();
      }
    }
    for (const nlohmann::json& event : trace) {
      if (event.at("ph").get<std::string>() != "X") continue;
      const auto process = event.at("pid").get<uint64_t>();
      const double begin = event.at("ts").get<double>() * 1e-3;
      spans.push_back({.process = processes[process],
                       .row = rows[{process, event.at("tid").get<uint64_t>()}],
                       .name = event.at("name").get<std::string>(),
                       .begin = begin,
                       .end = begin + event.at("dur").get<double>() * 1e-3,
                       .step = event.at("args").value("step", uint64_t{0})});
    }
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat("an event of the trace is no span: ", error.what()));
  }
  return spans;
}

absl::StatusOr<StepFigures> FiguresOf(const std::vector<TracedSpan>& spans, uint64_t first, uint64_t last) {
  StepFigures figures;
  std::map<uint64_t, Interval> steps;
  std::set<std::string> members;  // shards and workers
  for (const TracedSpan& span : spans) {
    if (span.process == "coordinator") {
      if (span.name == "step") steps[span.step] = {span.begin, span.end};
    } else {
      members.insert(span.process);
    }
  }
  for (uint64_t step = first; step <= last; ++step) {
    if (!steps.contains(step)) return absl::NotFoundError(absl::StrCat("the trace lacks step ", step));
    figures.step_ms.push_back(steps[step].second - steps[step].first);
  }
  const Interval window = {steps[first].first, steps[last].second};
  const double whole = window.second - window.first;
  std::map<std::string, double> processes;  // by role, how many
  std::vector<Interval> all;
  for (const std::string& member : members) {
    const std::vector<Interval> computing = Computing(spans, member, window);
    if (computing.empty()) return absl::NotFoundError(absl::StrCat("the trace has no step of ", member));
    figures.idle_share[RoleOf(member)] += 1.0 - Length(computing) / whole;
    processes[RoleOf(member)] += 1.0;
    all.insert(all.end(), computing.begin(), computing.end());
  }
  figures.uncovered_share = 1.0 - Length(Union(std::move(all))) / whole;
  for (auto& [role, share] : figures.idle_share) share /= processes[role];
  AddPhases(spans, window, &figures);
  const double count = static_cast<double>(last - first + 1);
  for (auto& [key, ms] : figures.phase_ms) ms /= count * processes[key.first];
  return figures;
}

}  // namespace arcshard::bench
