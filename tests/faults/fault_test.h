#pragma once

#include <map>
#include <string>

#include "gtest/gtest.h"
#include "tests/faults/fault_run.h"

namespace arcshard::faults {

// Runs with faults, each in a folder of its own, and what they have to come to.
class FaultTest : public ::testing::Test {
 protected:
  // A run with `members` of each role, in a new folder, which is kept if the test fails.
  FaultRun NewRun(const Configuration& configuration, uint32_t members);

  // Carries it through with these faults, and expects that it ends in order, has lost no step, leaves nothing
  // unfinished, and has the model that a run without faults has. That one is carried through once.
  static Outcome ExpectSurvives(const FaultRun& run, Inspector* inspector);

  void TearDown() override;

 private:
  static const std::map<std::string, std::string>& Undisturbed(FaultRun run);

  std::string folder_;
};

}  // namespace arcshard::faults
