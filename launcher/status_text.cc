#include "launcher/status_text.h"

#include <algorithm>
#include <limits>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "launcher/progress_line.h"

namespace arcshard::launcher {
namespace {

using Row = std::vector<std::string>;

std::string Printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

std::string Size(uint64_t bytes) {
  if (bytes == 0) return "-";
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 10240 ? absl::StrFormat("%.1f MiB", mib) : absl::StrFormat("%.1f GiB", mib / 1024);
}

// "0.2s", "1m5s": tenths below 10 s.
std::string Short(double seconds) {
  return seconds < 10 ? absl::StrFormat("%.1fs", seconds) : WholeSeconds(absl::Seconds(seconds));
}

std::string Milliseconds(double seconds) { return absl::StrFormat("%.2f ms", 1000 * seconds); }

std::string NameOf(const v1::MemberStatus& member) {
  return absl::StrCat(member.role() == v1::ROLE_SHARD ? "shard " : "worker ", member.id());
}

// Columns as wide as their longest cell, two spaces apart.
std::string Table(const std::vector<Row>& rows) {
  std::vector<size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&line, row[i]);
      if (i + 1 < row.size()) line.append(widths[i] + 2 - row[i].size(), ' ');
    }
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

std::string Members(const v1::RunStatus& status) {
  std::vector<Row> rows = {
      {"member", "pid", "host", "address", "classes", "held", "capacity", "resident", "attending", "last sign"}};
  for (const v1::MemberStatus& member : status.members()) {
    const bool shard = member.role() == v1::ROLE_SHARD;
    const bool ranged = shard && status.num_classes() > 0;
    rows.push_back({NameOf(member), absl::StrCat(member.pid()), Printable(member.host()), Printable(member.address()),
                    ranged ? absl::StrCat("[", member.range().begin(), ", ", member.range().end(), ")") : "-",
                    Size(member.held_bytes()), Size(member.capacity_bytes()), Size(member.resident_bytes()),
                    Short(member.attending_seconds()), absl::StrCat(Short(member.silent_seconds()), " ago")});
  }
  return Table(rows);
}

// A phase of a role's members.
struct PhaseOfRole {
  double sum = 0.0;  // of the members' means, seconds
  int members = 0;
  double largest = 0.0;  // of the means
  std::string slowest;
};

// The phases in the order in which the members tell them.
void AddPhases(const v1::RunStatus& status, v1::Role role, std::vector<Row>* rows) {
  std::vector<std::string> order;
  std::map<std::string, PhaseOfRole> phases;
  for (const v1::MemberStatus& member : status.members()) {
    if (member.role() != role) continue;
    for (const v1::PhaseTime& time : member.recent_phases()) {
      if (time.count() == 0) continue;
      if (!phases.contains(time.name())) order.push_back(time.name());
      PhaseOfRole& phase = phases[time.name()];
      const double mean = time.seconds() / static_cast<double>(time.count());
      phase.sum += mean;
      ++phase.members;
      if (phase.members > 1 && mean <= phase.largest) continue;
      phase.largest = mean;
      phase.slowest = NameOf(member);
    }
  }
  for (const std::string& name : order) {
    const PhaseOfRole& phase = phases[name];
    rows->push_back({role == v1::ROLE_SHARD ? "shards" : "workers", Printable(name),
                     Milliseconds(phase.sum / phase.members),
                     absl::StrCat(Milliseconds(phase.largest), " (", phase.slowest, ")")});
  }
}

std::string Phases(const v1::RunStatus& status) {
  std::vector<Row> rows = {{"of late", "phase", "mean", "slowest"}};
  AddPhases(status, v1::ROLE_WORKER, &rows);
  AddPhases(status, v1::ROLE_SHARD, &rows);
  return rows.size() > 1 ? absl::StrCat("\n", Table(rows)) : "";
}

}  // namespace

std::string StatusText(const v1::RunStatus& status, const std::string& coordinator) {
  const v1::MemberStatus& process = status.coordinator();
  std::string text =
      absl::StrCat("run ", Printable(status.run_folder()), ", coordinator ", coordinator, " (pid ", process.pid(),
                   " on ", Printable(process.host()), ", ", Size(process.resident_bytes()), " resident)\n");
  v1::Progress progress = status.progress();
  constexpr size_t kAnyWidth = std::numeric_limits<size_t>::max();
  absl::StrAppend(&text, Printable(ProgressLine(progress, kAnyWidth)), "\n");
  if (progress.phase() != v1::Progress::PHASE_TRAINING && progress.step() > 0) {  // how the training stands meanwhile
    progress.set_phase(v1::Progress::PHASE_TRAINING);
    absl::StrAppend(&text, Printable(ProgressLine(progress, kAnyWidth)), "\n");
  }
  if (status.num_classes() > 0) {
    absl::StrAppend(&text, "view ", status.view().incarnation(), ".", status.view().counter(), ", ",
                    status.num_classes(), " classes\n");
  }
  if (status.members_size() > 0) absl::StrAppend(&text, "\n", Members(status), Phases(status));
  const std::vector<std::string> verification = VerificationLines(status.progress());
  if (!verification.empty()) absl::StrAppend(&text, "\n");
  for (const std::string& line : verification) absl::StrAppend(&text, Printable(line), "\n");
  return text;
}

}  // namespace arcshard::launcher
