#include "bench/coordinator/simulated_run.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/io/file_system.h"

namespace arcshard::bench {

std::vector<SimulatedMember> MembersOf(const Size& size) {
  std::vector<SimulatedMember> members;
  for (uint32_t number = 0; number < size.members(); ++number) {
    members.emplace_back(number < size.shards ? Role::kShard : Role::kWorker, number);
  }
  return members;
}

absl::StatusOr<std::string> WriteConfig(const Size& size, const std::string& folder) {
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  RETURN_IF_ERROR(CreateFolders(folder));
  constexpr uint32_t kMicroBatch = 32, kMicroBatchesOfAWorker = 2;
  const std::string path = absl::StrCat(folder, "/run.yaml");
  RETURN_IF_ERROR(WriteFileAtomically(
      path,
      absl::StrCat("run: {folder: ", folder, "/run}\n",
                   "data: {format: synthetic, synthetic_samples: ", SimulatedMember::dataset().samples,
                   ", batch_size: ", kMicroBatch * kMicroBatchesOfAWorker * size.workers,
                   ", micro_batch_size: ", kMicroBatch, "}\nhead: {classes: 1000000}\n",
                   "schedule: {epochs: 1000}\nverification: {sets: []}\ncheckpoint: {every_minutes: 0}\n",
                   "cluster: {shards: ", size.shards, ", workers: ", size.workers, ", heartbeat_timeout: 1m}\n")));
  return path;
}

}  // namespace arcshard::bench
