#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/manifest.h"
#include "common/io/file_system.h"

// For tests: small checkpoints on any disk, whose values are functions of the step.
namespace arcshard {

inline constexpr int64_t kTestClasses = 9;
inline constexpr int64_t kTestDim = 4;

// The manifest of such a checkpoint, without files.
Manifest TestManifest(const CheckpointId& id);

// Writes a checkpoint as two shards and a worker do: class_centers-0-5 (centers F32, moment_0 BF16, counts),
// class_centers-5-9, backbone and optimizer, then the manifest. On an error the folder is removed, as by the
// coordinator.
absl::Status TakeTestCheckpoint(FileSystem* files, const std::string& run_folder, const CheckpointId& id);

// Opens the checkpoint, verifies it and compares all its values. Internal: a value is wrong, which must never happen.
absl::Status CheckTestCheckpoint(FileSystem* files, const std::string& folder, const CheckpointId& id);

}  // namespace arcshard
