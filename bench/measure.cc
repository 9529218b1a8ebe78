#include "bench/measure.h"

#include <sys/resource.h>
#include <time.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace arcshard::bench {
namespace {

double MillisecondsOf(clockid_t clock) {
  timespec now = {};  // a process may have ended
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

}  // namespace

Milliseconds Time(int threads, absl::FunctionRef<void()> work) {
  const double wall = MillisecondsOf(CLOCK_MONOTONIC), cpu = MillisecondsOf(CLOCK_PROCESS_CPUTIME_ID);
  work();
  return {(MillisecondsOf(CLOCK_PROCESS_CPUTIME_ID) - cpu) / threads, MillisecondsOf(CLOCK_MONOTONIC) - wall};
}

double Median(std::vector<double> values) {
  assert(!values.empty());
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

double ResidentMb() {
  int64_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double PeakResidentMb() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

double ProcessorSeconds(pid_t pid) {
  clockid_t clock;
  return clock_getcpuclockid(pid, &clock) == 0 ? MillisecondsOf(clock) * 1e-3 : 0.0;
}

std::string ProcessorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (absl::StartsWith(line, "model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string CompilerName() {
#if defined(__clang__)
  return absl::StrCat("clang ", __clang_version__);
#else
  return absl::StrCat("gcc ", __VERSION__);
#endif
}

std::string LibTorchVersion() { return TORCH_VERSION; }

}  // namespace arcshard::bench
