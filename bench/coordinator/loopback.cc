#include "bench/coordinator/loopback.h"

#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/coordinator/loopback_members.h"
#include "bench/measure.h"
#include "cli/supervision/process.h"
#include "cli/train/announcement.h"
#include "cli/train/run_processes.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/net/descriptors.h"

namespace arcshard::bench {
namespace {

constexpr absl::Duration kStartLimit = absl::Minutes(1);
constexpr std::chrono::seconds kIdle(2);
constexpr int kWarmUp = 3;
constexpr uint64_t kDescriptorsBeside = 256;  // what a process has open beside the members' connections

// Both processes have a descriptor for each connection; the coordinator keeps a quarter of its own for others.
absl::Status CheckDescriptors(const Size& size) {
  RaiseDescriptorLimit();
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  const uint64_t needed = kDescriptorsBeside + 2 * size.members();
  if (limit.rlim_cur >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("a process may have ", limit.rlim_cur,
                                                   " descriptors here (ulimit -n); ", size.members(), " members take ",
                                                   needed));
}

std::string LastLine(const std::string& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) last = line;
  return last;
}

struct Coordinator {
  std::unique_ptr<cli::Process> process;
  std::string address;
  double ProcessorMs() const { return ProcessorSeconds(process->pid()) * 1e3; }
};

absl::StatusOr<Coordinator> StartCoordinator(const LoopbackOptions& options, const Clock& clock) {
  cli::TrainOptions train;
  ASSIGN_OR_RETURN(train.config, WriteConfig(options.size, options.folder));
  Coordinator coordinator;
  cli::Announcement announcement;
  {
    ASSIGN_OR_RETURN(const FileDescriptor to, announcement.Open());
    cli::Process::Options process = cli::CoordinatorProcess(train, "127.0.0.1:0", to.get());
    process.program = absl::StrCat(options.programs, "/arcshard-coordinator");
    process.log = absl::StrCat(options.folder, "/coordinator.log");
    ASSIGN_OR_RETURN(coordinator.process, cli::Process::Start(process));
  }
  if (!announcement.AwaitAddress(clock, kStartLimit)) {
    return absl::UnavailableError(
        absl::StrCat("the coordinator does not start: ", LastLine(absl::StrCat(options.folder, "/coordinator.log"))));
  }
  coordinator.address = announcement.address();
  return coordinator;
}

absl::StatusOr<LoopbackCost> Measure(const LoopbackOptions& options) {
  const SystemClock clock;
  ASSIGN_OR_RETURN(const Coordinator coordinator, StartCoordinator(options, clock));
  LoopbackMembers members(options.size, &clock);
  LoopbackCost cost;
  RETURN_IF_ERROR(members.Join(coordinator.address));
  cost.join_ms = coordinator.ProcessorMs();
  for (int i = 0; i < kWarmUp; ++i) RETURN_IF_ERROR(members.Step().status());
  double begin_ms = coordinator.ProcessorMs();
  MonotonicTime begin = clock.Now();
  std::this_thread::sleep_for(kIdle);
  cost.idle_ms = (coordinator.ProcessorMs() - begin_ms) / absl::ToDoubleSeconds(clock.Now() - begin);
  begin_ms = coordinator.ProcessorMs();
  begin = clock.Now();
  std::vector<double> wall_ms, after_last_ms;
  for (int i = 0; i < options.steps; ++i) {
    ASSIGN_OR_RETURN(const LoopbackMembers::StepTimes times, members.Step());
    wall_ms.push_back(absl::ToDoubleMilliseconds(times.all));
    after_last_ms.push_back(absl::ToDoubleMilliseconds(times.after_last));
  }
  const double idle_ms = cost.idle_ms * absl::ToDoubleSeconds(clock.Now() - begin);
  cost.votes_ms = (coordinator.ProcessorMs() - begin_ms - idle_ms) / options.steps;
  cost.step_wall_ms = Median(wall_ms);
  cost.last_vote_ms = Median(after_last_ms);
  cost.peak_mb = MemoryOf(coordinator.process->pid()).peak_mb;
  return cost;
}

}  // namespace

absl::StatusOr<LoopbackCost> MeasureLoopback(const LoopbackOptions& options) {
  RETURN_IF_ERROR(CheckDescriptors(options.size));
  absl::StatusOr<LoopbackCost> cost = Measure(options);
  std::error_code ignored;
  std::filesystem::remove_all(options.folder, ignored);
  return cost;
}

}  // namespace arcshard::bench
