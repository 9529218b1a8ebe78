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

double ResidentMb();      // now, in MiB
double PeakResidentMb();  // since the process started, in MiB

// Of the processor that the process has used with all its threads; 0: there is no such process.
double ProcessorSeconds(pid_t pid);

std::string ProcessorName();
std::string CompilerName();
std::string LibTorchVersion();

}  // namespace arcshard::bench
