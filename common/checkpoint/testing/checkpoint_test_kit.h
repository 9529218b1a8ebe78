#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/manifest.h"
#include "common/io/file_system.h"

// For tests: small checkpoints whose values follow from the step, on any disk.
namespace arcshard {

inline constexpr int64_t kTestClasses = 9;
inline constexpr int64_t kTestDim = 4;

// The manifest that such a checkpoint has, without files.
Manifest TestManifest(const CheckpointId& id);

// As two shards and a worker write it: class_centers-0-5 (centers F32, moment_0 BF16, counts), class_centers-5-9,
// backbone and optimizer, then the manifest. On an error the folder is removed, as the coordinator does it.
absl::Status TakeTestCheckpoint(FileSystem* files, const std::string& run_folder, const CheckpointId& id);

// Opens it, verifies it and compares all it holds. Internal: it holds something else; that must never be.
absl::Status CheckTestCheckpoint(FileSystem* files, const std::string& folder, const CheckpointId& id);

}  // namespace arcshard
