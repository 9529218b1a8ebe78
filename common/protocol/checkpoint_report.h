#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/protocol/types.h"

namespace arcshard {

// Describes a checkpoint's file as it was written, so that its bytes can be checked when they are read again.
struct FileRecord {
  static constexpr uint64_t kBlockBytes = uint64_t{1} << 20;

  std::string name;  // within the checkpoint's folder
  uint64_t bytes = 0;
  uint32_t crc32c = 0;  // of the whole file
  std::vector<uint32_t> block_crc32c =
      {};  // of each block of kBlockBytes (the last may be shorter), to check single rows
  friend bool operator==(const FileRecord&, const FileRecord&) = default;
};

// A participant's part of the checkpoint that Next::checkpoint asked for after `step`.
struct CheckpointReport {
  View view = {};
  uint64_t step = 0;
  std::vector<FileRecord> files = {};          // durable
  absl::Status status = absl::OkStatus();      // if not OK there are no files
  absl::Duration took = absl::ZeroDuration();  // from the decision to the last fsync
  uint64_t odd = 0;                            // figures that could not be and count as 0; on receipt
  friend bool operator==(const CheckpointReport&, const CheckpointReport&) = default;
};

}  // namespace arcshard
