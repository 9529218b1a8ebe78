#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

// Time, memory and names of this machine, for benchmarks.
namespace arcshard::bench {

struct Milliseconds {
  double cpu_per_thread = 0.0;  // CPU time of the process divided by `threads`; other processes influence it least
  double wall = 0.0;
};
Milliseconds Time(int threads, absl::FunctionRef<void()> work);

double Median(std::vector<double> values);  // requires at least one value
// values[i]/by[i].
std::vector<double> Ratios(const std::vector<double>& values, const std::vector<double>& by);

double ResidentMb();      // now, in MiB
double PeakResidentMb();  // since the process started, in MiB
// Of another process, in MiB; 0: there is no such process.
struct ProcessMemory {
  double resident_mb = 0.0;
  double peak_mb = 0.0;
};
ProcessMemory MemoryOf(pid_t pid);

// Of the processor that the process has used with all its threads; 0: there is no such process.
double ProcessorSeconds(pid_t pid);

// The folder that has this program, and the others that it may start.
std::string ProgramFolder();
std::string ProcessorName();
std::string CompilerName();
std::string LibTorchVersion();

}  // namespace arcshard::bench
