#include "bench/measure.h"

#include <sys/resource.h>
#include <time.h>
#include <torch/headeronly/version.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <filesystem>
#include <fstream>
#include <sstream>

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

std::vector<double> Ratios(const std::vector<double>& values, const std::vector<double>& by) {
  std::vector<double> ratios;
  for (size_t i = 0; i < values.size(); ++i) ratios.push_back(values[i] / by[i]);
  return ratios;
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

ProcessMemory MemoryOf(pid_t pid) {
  ProcessMemory memory;
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  for (std::string line; std::getline(status, line);) {
    std::istringstream words(line);
    std::string key;
    double kib = 0.0;
    words >> key >> kib;
    if (key == "VmRSS:") memory.resident_mb = kib / 1024;
    if (key == "VmHWM:") memory.peak_mb = kib / 1024;
  }
  return memory;
}

double ProcessorSeconds(pid_t pid) {
  clockid_t clock;
  return clock_getcpuclockid(pid, &clock) == 0 ? MillisecondsOf(clock) * 1e-3 : 0.0;
}

std::string ProgramFolder() { return std::filesystem::read_symlink("/proc/self/exe").parent_path().string(); }

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
