#include "cli/report/run_record.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace arcshard::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMostNamed = 5;            // damaged lines
constexpr double kLatest = 253402300799.0;  // seconds since 1970 until the year 9999

double Number(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

uint64_t Count(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

std::string Words(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

const Json& Part(const Json& object, const char* key) {
  static const Json* const kNothing = new Json();
  const auto found = object.find(key);
  return found != object.end() ? *found : *kNothing;
}

ClassRange RangeOf(const Json& range) {
  const auto is_class = [](const Json& value) {
    return value.is_number_unsigned() && value.get<uint64_t>() <= uint64_t{std::numeric_limits<int64_t>::max()};
  };
  if (!range.is_array() || range.size() != 2 || !is_class(range[0]) || !is_class(range[1])) return {};
  const ClassRange read = {range[0].get<int64_t>(), range[1].get<int64_t>()};
  return read.begin <= read.end ? read : ClassRange{};
}

RunRecord::Member MemberOf(const Json& member) {
  return {.role = Words(member, "role"),
          .id = Count(member, "id"),
          .host = Words(member, "host"),
          .address = Words(member, "address"),
          .pid = static_cast<int64_t>(Count(member, "pid")),
          .range = RangeOf(Part(member, "range")),
          .capacity_bytes = Count(member, "capacity_bytes")};
}

RunRecord::Phases PhasesOf(const Json& phases) {
  RunRecord::Phases read;
  if (!phases.is_object()) return read;
  for (const auto& [name, seconds] : phases.items()) {
    if (seconds.is_number() && seconds.get<double>() >= 0) read.emplace_back(name, seconds.get<double>());
  }
  return read;
}

VerificationReport SetOf(const Json& set) {
  VerificationReport report = {.name = Words(set, "name"),
                               .accuracy = Number(set, "accuracy"),
                               .std = Number(set, "std"),
                               .threshold = Number(set, "threshold"),
                               .pairs = Count(set, "pairs"),
                               .xnorm = Number(set, "xnorm"),
                               .overall_accuracy = Number(set, "overall_accuracy"),
                               .overall_threshold = Number(set, "overall_threshold"),
                               .different_pairs = Count(set, "different_pairs")};
  const Json& rates = Part(set, "accept_rates");
  for (size_t i = 0; rates.is_array() && i < rates.size(); ++i) {
    if (!rates[i].is_object()) continue;
    report.accept_rates.push_back({Number(rates[i], "far"), Number(rates[i], "tar"), Count(rates[i], "false_accepts")});
  }
  return report;
}

RunRecord::Recovery RecoveryOf(const Json& line, absl::Time time) {
  RunRecord::Recovery recovery = {.ended = time,
                                  .step = Count(line, "step"),
                                  .seconds = Number(line, "seconds"),
                                  .replayed_steps = Count(line, "replayed_steps"),
                                  .lost_steps = Count(line, "lost_steps"),
                                  .sentence = Words(line, "sentence")};
  const Json& lost = Part(line, "lost");
  for (size_t i = 0; lost.is_array() && i < lost.size(); ++i) {
    if (!lost[i].is_object()) continue;
    recovery.lost.push_back(Words(lost[i], "name"));
  }
  return recovery;
}

// Appends the record of a step after those of earlier steps, and drops those of the same and later steps.
template <typename Told>
void Put(std::vector<Told>* all, Told told) {
  while (!all->empty() && all->back().step >= told.step) all->pop_back();
  all->push_back(std::move(told));
}

template <typename Told>
void EraseAfter(uint64_t step, std::vector<Told>* all) {
  std::erase_if(*all, [step](const Told& told) { return told.step > step; });
}

class Reader {
 public:
  // Returns what is wrong with the line; empty: nothing.
  absl::string_view Read(absl::string_view text) {
    const Json line = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
    if (!line.is_object()) return "it is not a JSON object";
    const std::string kind = Words(line, "kind");
    if (kind.empty()) return "it has no kind";
    const double seconds = Number(line, "time");
    if (!(seconds >= 0 && seconds <= kLatest)) return "it has no time";
    const absl::Time time = absl::FromUnixMillis(std::llround(seconds * 1000));
    if (kind == "run" || record_.lives.empty()) {  // a file whose beginning is lost still gets a life
      record_.lives.push_back({.began = time, .last = time});
    }
    RunRecord::Life& life = record_.lives.back();
    life.last = std::max(life.last, time);
    const double elapsed = Number(line, "elapsed_seconds");
    const absl::Duration took = std::isfinite(elapsed) ? absl::Seconds(elapsed) : life.last - life.began;
    life.took = std::max(life.took, took);
    if (kind == "run") {
      life.config = Words(line, "config");
      life.version = Words(line, "version");
      life.host = Words(line, "host");
      life.incarnation = Count(line, "incarnation");
      // The steps of earlier lives after the state that this one goes on from are undone; a new run undoes them all.
      if (Part(line, "resumed_step").is_number_unsigned()) {
        life.fresh = Count(line, "resumed_step") == 0;
        if (life.fresh) record_.recoveries.clear();
        DropAfter(Count(line, "resumed_step"));
      }
      return "";
    }
    if (kind == "view") return View(line);
    if (kind == "step") return Step(line, &life);
    if (kind == "verification") return Verification(line);
    if (kind == "recovery") return Recovery(line, time);
    if (kind == "end") {
      life.outcome = Words(line, "outcome");
      life.sentence = Words(line, "sentence");
      life.step = Count(line, "step");
    }
    return "";
  }

  RunRecord record() && {
    for (const RunRecord::Verification& one : record_.verifications) record_.best.Take(one.step, one.sets);
    return std::move(record_);
  }

  void CountDamage(size_t number, absl::string_view why) {
    if (++record_.damaged_lines > kMostNamed) return;
    record_.damaged.push_back(absl::StrCat("line ", number, ": ", why));
  }

 private:
  void DropAfter(uint64_t step) {
    EraseAfter(step, &record_.steps);
    EraseAfter(step, &record_.verifications);
  }

  absl::string_view View(const Json& line) {
    const Json& members = Part(line, "members");
    if (!members.is_array()) return "it has no members";
    record_.members.clear();
    for (const Json& member : members) {
      if (member.is_object()) record_.members.push_back(MemberOf(member));
    }
    record_.num_classes = RangeOf(Json::array({0u, Part(line, "num_classes")})).end;
    record_.planned_steps = Count(line, "steps");
    return "";
  }

  absl::string_view Step(const Json& line, RunRecord::Life* life) {
    if (!Part(line, "step").is_number_unsigned()) return "it has no step";
    const Json& phases = Part(line, "phases");
    const Json& resident = Part(line, "resident_bytes");
    const uint64_t step = Count(line, "step");
    RunRecord::Step told = {.step = step,
                            .epoch = Number(line, "epoch"),
                            .loss = Number(line, "loss"),
                            .target_cosine = Number(line, "target_cosine"),
                            .lr = Number(line, "lr"),
                            .samples_per_second = Number(line, "samples_per_second"),
                            .worker_bytes = resident.is_object() ? Number(resident, "worker") : std::nan(""),
                            .shard_bytes = resident.is_object() ? Number(resident, "shard") : std::nan(""),
                            .skipped = Count(line, "skipped"),
                            .corrupt_records = Count(line, "corrupt_records")};
    if (phases.is_object()) {
      told.worker = PhasesOf(Part(phases, "worker"));
      told.shard = PhasesOf(Part(phases, "shard"));
    }
    life->step = step;
    // The verification after this very step may precede it: the line of a step is written later than the step is
    // decided.
    while (!record_.verifications.empty() && record_.verifications.back().step > step) {
      record_.verifications.pop_back();
    }
    if (const uint64_t steps = Count(line, "steps"); steps > 0) record_.planned_steps = steps;
    Put(&record_.steps, std::move(told));
    return "";
  }

  absl::string_view Verification(const Json& line) {
    const Json& sets = Part(line, "sets");
    if (!Part(line, "step").is_number_unsigned() || !sets.is_array()) return "it has no step or no sets";
    RunRecord::Verification told = {.step = Count(line, "step"), .sets = {}};
    for (const Json& set : sets) {
      if (set.is_object()) told.sets.push_back(SetOf(set));
    }
    Put(&record_.verifications, std::move(told));
    return "";
  }

  absl::string_view Recovery(const Json& line, absl::Time time) {
    if (!Part(line, "step").is_number_unsigned()) return "it has no step";
    RunRecord::Recovery told = RecoveryOf(line, time);
    if (told.lost_steps > 0) DropAfter(told.step);
    record_.recoveries.push_back(std::move(told));
    return "";
  }

  RunRecord record_;
};

}  // namespace

uint64_t RunRecord::lost_steps() const {
  uint64_t lost = 0;
  for (const Recovery& recovery : recoveries) lost += recovery.lost_steps;
  return lost;
}

size_t RunRecord::starts() const {
  size_t starts = 0;
  for (const Life& life : lives) starts = life.fresh ? 1 : starts + 1;
  return starts;
}

absl::Duration RunRecord::took() const {
  absl::Duration sum;
  for (size_t i = lives.size() - starts(); i < lives.size(); ++i) sum += lives[i].took;
  return sum;
}

RunRecord ReadRunRecord(absl::string_view text) {
  Reader reader;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (end == absl::string_view::npos) break;  // the line is still being written
    const absl::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.empty()) continue;
    if (const absl::string_view why = reader.Read(line); !why.empty()) reader.CountDamage(number, why);
  }
  return std::move(reader).record();
}

}  // namespace arcshard::cli
