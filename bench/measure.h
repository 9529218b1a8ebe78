#pragma once

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"

// Clocks, memory and names of this machine, for benchmarks.
namespace arcshard::bench {

struct Milliseconds {
  double cpu_per_thread = 0.0;  // CPU time of the whole process over `threads`: what a busy machine disturbs least
  double wall = 0.0;
};
Milliseconds Time(int threads, absl::FunctionRef<void()> work);

double Median(std::vector<double> values);  // of at least one

double ResidentMb();      // now, in MiB
double PeakResidentMb();  // since the process began

std::string ProcessorName();
std::string CompilerName();
std::string LibTorchVersion();

}  // namespace arcshard::bench
