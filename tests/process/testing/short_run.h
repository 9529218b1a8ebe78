#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "tests/process/testing/process_kit.h"

namespace arcshard {

// Tests of a run that takes some 300 steps to its end, and with the same members has the same bits each time.
class ShortRunTest : public ProcessTestBase {
 protected:
  static constexpr uint64_t kSteps = 301;
  static constexpr uint64_t kCheckpointEvery = 40;

  // The arguments of arcshard that train it.
  std::vector<std::string> ShortRun(const std::vector<std::string>& overrides = {}) const;
  // Starts it, and waits until it has decided `steps` steps and has a checkpoint of an earlier one.
  Training StartTraining(uint64_t steps, const std::vector<std::string>& overrides = {}) const;
  // The model that the run leaves when nothing disturbs it.
  std::map<std::string, std::string> Undisturbed(const std::vector<std::string>& overrides = {}) const;

  // Kills some of the run's processes, "shard" 1 and the like, as nearly at once as possible.
  static void Kill(const Training& run, const std::vector<std::pair<std::string, uint32_t>>& victims);
  // Waits until the run goes on after a loss, and returns the sentence about it.
  static std::string AwaitRecovery(Training* run) { return run->launcher.AwaitLine("the run goes on after step "); }
  // Expects that the processes that run now are those that ran when the training began, except for the victims.
  void ExpectOthersLive(const Training& run, const std::vector<std::pair<std::string, uint32_t>>& victims) const;
  // The coordinator's log.
  std::string Log() const { return ReadFile(Path("run/logs/coordinator-0.log")).value_or(""); }
  // Lines of the coordinator's log with `text`.
  std::vector<std::string> LinesWith(const std::string& text) const;
};

}  // namespace arcshard
