#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/faults/proxy.h"

// A whole run of real processes: the launcher's supervisor starts them, and starts those again that die.
namespace arcshard::faults {

// What is trained, in ten steps, with checkpoints after 4, 8 and 10 and verifications after 6 and 10.
struct Configuration {
  std::string name;
  std::string yaml;  // sections head, loss, optimizer
  std::string compute = "float32";
  bool large_tensors = false;  // a micro-batch's embedding is sent in two pieces
};
const std::vector<Configuration>& Configurations();
// The first of them with large tensors.
Configuration WithLargeTensors();

struct FaultRun {
  std::string folder;  // exists; for everything that the run writes
  std::string set;     // a verification set
  Configuration configuration;
  uint32_t members = 2;  // of each role
  bool verifies = true;  // otherwise the last decision says to stop
  // More environment of the first lives of these processes.
  std::map<Kind, std::vector<std::string>> first_lives = {};
};

struct Outcome {
  int status = -1;       // as arcshard train would end
  std::string sentence;  // the error; empty: none
  std::string news;      // what the launcher would print about deaths
  uint64_t restarts = 0;
  uint64_t steps = 0;  // decided at the end
  uint64_t lost_steps = 0;
  // Files that are not complete, and checkpoints without a manifest.
  std::vector<std::string> litter;
  std::map<std::string, std::string> model;  // the tensors of each file in the model's folder
};

// Runs it to its end, with `inspector` between the processes. Fails the test if it does not end, or cannot be started.
Outcome Carry(const FaultRun& run, Inspector* inspector);

}  // namespace arcshard::faults
