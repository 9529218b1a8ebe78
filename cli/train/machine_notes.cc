#include "cli/train/machine_notes.h"

#include <algorithm>

#include "common/config/compute_notes.h"

namespace arcshard::cli {
namespace {

// Whether some of the processes that get these devices in turn compute on the CPU.
bool UseCpu(const std::vector<std::string>& devices) {
  return devices.empty() || std::find(devices.begin(), devices.end(), "cpu") != devices.end();
}

}  // namespace

std::vector<std::string> NotesOnThisMachine(const TrainOptions& options, const RunConfig& config) {
  const std::string why = WhyBfloat16IsSlow();
  std::vector<std::string> notes;
  if (UseCpu(options.worker_devices)) notes.push_back(NoteOnBackboneCompute(config, why));
  if (UseCpu(options.shard_devices)) notes.push_back(NoteOnHeadCompute(config, why));
  notes.erase(std::remove(notes.begin(), notes.end(), ""), notes.end());
  return notes;
}

}  // namespace arcshard::cli
