#include "cli/status/status_text.h"

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "cli/display/progress_line.h"
#include "cli/display/terminal.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

std::string Size(uint64_t bytes) {
  if (bytes == 0) return "-";
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 10240 ? absl::StrFormat("%.1f MiB", mib) : absl::StrFormat("%.1f GiB", mib / 1024);
}

// "0.2s", "1m5s": tenths below 10 s.
std::string Short(double seconds) {
  return seconds < 10 ? absl::StrFormat("%.1fs", seconds) : WholeSeconds(absl::Seconds(seconds));
}

std::string Milliseconds(double seconds) {
  return seconds < 1e-5 ? "<0.01 ms" : absl::StrFormat("%.2f ms", 1000 * seconds);
}

std::string NameOf(const v1::MemberStatus& member) {
  return absl::StrCat(member.role() == v1::ROLE_SHARD ? "shard " : "worker ", member.id());
}

struct Column {
  std::string name;
  bool number = false;  // aligned to the right
  int rank = 0;         // if the columns do not fit, those with the highest rank are left out; 0: never
  std::vector<std::string> cells = {};
};

size_t WidthOf(const Column& column) {
  size_t width = Columns(column.name);
  for (const std::string& cell : column.cells) width = std::max(width, Columns(cell));
  return width;
}

// Each column is as wide as its longest cell; two spaces separate columns.
std::string Table(std::vector<Column> columns, const StatusLook& look) {
  const auto width = [&] {
    size_t sum = 0;
    for (const Column& column : columns) sum += WidthOf(column) + 2;
    return sum - 2;
  };
  const auto by_rank = [](const Column& a, const Column& b) { return a.rank < b.rank; };
  while (width() > look.width) {
    const auto least = std::max_element(columns.begin(), columns.end(), by_rank);
    if (least->rank == 0) break;
    columns.erase(least);
  }
  std::string text;
  const size_t rows = columns.front().cells.size();
  for (size_t row = 0; row <= rows; ++row) {  // row 0: the names of the columns
    std::string line;
    for (const Column& column : columns) {
      const std::string& cell = row == 0 ? column.name : column.cells[row - 1];
      const std::string padding(WidthOf(column) - Columns(cell), ' ');
      absl::StrAppend(&line, line.empty() ? "" : "  ", column.number ? padding : "", cell,
                      column.number ? "" : padding);
    }
    line = CutTo(absl::StripTrailingAsciiWhitespace(line), look.width);
    absl::StrAppend(&text, row == 0 ? Paint(look.colours, Ink::kFaint, line) : line, "\n");
  }
  return text;
}

std::string Members(const v1::RunStatus& status, const StatusLook& look) {
  Column member{.name = "member"}, pid{.name = "pid", .number = true, .rank = 7}, host{.name = "host", .rank = 4};
  Column address{.name = "address", .rank = 5}, range{.name = "classes", .rank = 2};
  Column held{.name = "held", .number = true, .rank = 3}, capacity{.name = "capacity", .number = true, .rank = 6};
  Column resident{.name = "resident", .number = true, .rank = 1};
  Column attending{.name = "attending", .number = true, .rank = 8};
  Column last_sign{.name = "last sign", .number = true, .rank = 0};
  for (const v1::MemberStatus& one : status.members()) {
    const bool ranged = one.role() == v1::ROLE_SHARD && status.num_classes() > 0;
    member.cells.push_back(NameOf(one));
    pid.cells.push_back(absl::StrCat(one.pid()));
    host.cells.push_back(PrintableLine(one.host()));
    address.cells.push_back(PrintableLine(one.address()));
    range.cells.push_back(ranged ? absl::StrCat("[", one.range().begin(), ", ", one.range().end(), ")") : "-");
    held.cells.push_back(Size(one.held_bytes()));
    capacity.cells.push_back(Size(one.capacity_bytes()));
    resident.cells.push_back(Size(one.resident_bytes()));
    attending.cells.push_back(Short(one.attending_seconds()));
    last_sign.cells.push_back(absl::StrCat(Short(one.silent_seconds()), " ago"));
  }
  return Table({member, pid, host, address, range, held, capacity, resident, attending, last_sign}, look);
}

// The times of one phase, over the members of a role.
struct PhaseOfRole {
  double sum = 0.0;  // of the members' means, seconds
  int members = 0;
  double largest = 0.0;  // of the means
  std::string slowest;
};

struct PhaseColumns {
  Column role{.name = "recent"}, phase{.name = "phase"}, mean{.name = "mean", .number = true};
  Column slowest{.name = "slowest", .rank = 1};
};

// Adds the phases in the order in which the members report them.
void AddPhases(const v1::RunStatus& status, v1::Role role, PhaseColumns* columns) {
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
    columns->role.cells.push_back(role == v1::ROLE_SHARD ? "shards" : "workers");
    columns->phase.cells.push_back(PrintableLine(name));
    columns->mean.cells.push_back(Milliseconds(phase.sum / phase.members));
    columns->slowest.cells.push_back(absl::StrCat(Milliseconds(phase.largest), " (", phase.slowest, ")"));
  }
}

std::string Phases(const v1::RunStatus& status, const StatusLook& look) {
  PhaseColumns columns;
  AddPhases(status, v1::ROLE_WORKER, &columns);
  AddPhases(status, v1::ROLE_SHARD, &columns);
  if (columns.role.cells.empty()) return "";
  return absl::StrCat("\n", Table({columns.role, columns.phase, columns.mean, columns.slowest}, look));
}

// "last checkpoint: step 1700, 3m12s ago", and the reason if a later one has failed.
std::string CheckpointLines(const v1::RunStatus& status, const StatusLook& look) {
  const v1::Progress& progress = status.progress();
  std::string text;
  if (progress.checkpoint_step() > 0) {
    absl::StrAppend(&text, "last checkpoint: step ", progress.checkpoint_step());
    if (status.checkpoint_age_seconds() > 0)
      absl::StrAppend(&text, ", ", Short(status.checkpoint_age_seconds()), " ago");
    absl::StrAppend(&text, "\n");
  }
  if (!progress.checkpoint_failure().empty()) {
    const std::string line =
        absl::StrCat("the latest checkpoint failed: ", PrintableLine(progress.checkpoint_failure()));
    absl::StrAppend(&text, Paint(look.colours, Ink::kBad, Wrap(line, look.width)), "\n");
  }
  return text;
}

// How often the run has recovered, how it did so last, and what the loss of a shard would cost now.
std::string RecoveryLines(const v1::RunStatus& status, const StatusLook& look) {
  const v1::Progress& progress = status.progress();
  std::string text;
  if (progress.recoveries() > 0) {
    // A coordinator counts its own, and this one may have followed another.
    const absl::string_view since = status.view().incarnation() > 1 ? "since the coordinator's last start: " : "";
    const std::string count = absl::StrCat(since, DescribeRecoveries(progress.recoveries(), progress.lost_steps()));
    absl::StrAppend(&text, Wrap(count, look.width), "\n");
    const std::string last = absl::StrCat("the last time: ", PrintableLine(progress.last_recovery()));
    if (!progress.last_recovery().empty()) absl::StrAppend(&text, Wrap(last, look.width), "\n");
  }
  if (progress.phase() != v1::Progress::PHASE_TRAINING && progress.phase() != v1::Progress::PHASE_EVALUATING) {
    return text;
  }
  const std::string back = progress.checkpoint_step() == 0
                               ? "its first weights: it has no checkpoint yet"
                               : absl::StrCat("step ", progress.checkpoint_step(), ", its last checkpoint");
  const std::string cost = progress.recoverable() ? "is rebuilt from the logs of others: no step is lost"
                                                  : absl::StrCat("takes the run back to ", back);
  absl::StrAppend(&text, Wrap(absl::StrCat("a shard that is lost now ", cost), look.width), "\n");
  return text;
}

// Why the latest verification is incomplete; empty: it is not.
std::string VerificationFailure(const v1::Progress& progress, const StatusLook& look) {
  if (progress.verification_failure().empty()) return "";
  const std::string line =
      absl::StrCat("the latest verification is incomplete: ", PrintableLine(progress.verification_failure()));
  return absl::StrCat(Paint(look.colours, Ink::kBad, Wrap(line, look.width)), "\n");
}

std::string ProgressOf(const v1::Progress& progress, const StatusLook& look) {
  if (!progress.waiting_for().empty()) {  // a sentence
    return Wrap(ProgressLine(progress, std::numeric_limits<size_t>::max()), look.width);
  }
  return look.bar ? ProgressWithBar(progress, look.width, look.colours) : ProgressLine(progress, look.width);
}

}  // namespace

std::string StatusText(const v1::RunStatus& status, const std::string& coordinator, const StatusLook& look) {
  const v1::MemberStatus& process = status.coordinator();
  const std::string heading = absl::StrCat(
      "run ", PrintableLine(status.run_folder()), ", coordinator ", PrintableLine(coordinator), " (pid ", process.pid(),
      " on ", PrintableLine(process.host()), ", ", Size(process.resident_bytes()), " resident)");
  std::string text = absl::StrCat(Paint(look.colours, Ink::kStrong, CutTo(heading, look.width)), "\n");
  v1::Progress progress = status.progress();
  progress.set_waiting_for(PrintableLine(progress.waiting_for()));
  absl::StrAppend(&text, ProgressOf(progress, look), "\n");
  if (progress.phase() != v1::Progress::PHASE_TRAINING && progress.step() > 0) {  // the progress of the training, too
    progress.set_phase(v1::Progress::PHASE_TRAINING);
    absl::StrAppend(&text, ProgressOf(progress, look), "\n");
  }
  if (status.num_classes() > 0) {
    absl::StrAppend(&text, "view ", status.view().incarnation(), ".", status.view().counter(), ", ",
                    status.num_classes(), " classes\n");
  }
  absl::StrAppend(&text, CheckpointLines(status, look), RecoveryLines(status, look),
                  VerificationFailure(status.progress(), look));
  if (status.members_size() > 0) absl::StrAppend(&text, "\n", Members(status, look), Phases(status, look));
  const std::vector<std::string> verification = VerificationLines(status.progress());
  if (!verification.empty()) absl::StrAppend(&text, "\n");
  for (const std::string& line : verification) absl::StrAppend(&text, Wrap(PrintableLine(line), look.width), "\n");
  return text;
}

}  // namespace arcshard::cli
