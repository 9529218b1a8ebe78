#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/protocol/checkpoint_report.h"
#include "common/protocol/messages.h"

// manifest.json, the last file of a checkpoint to be written: with it the checkpoint is complete (DESIGN §4).
namespace arcshard {

// The state of a run after `step`: what lies in which file, and what the coordinator knows. Where the reader stands
// follows from the step alone (SamplePlan).
struct Manifest {
  uint64_t step = 0;
  uint64_t incarnation = 0;    // of the coordinator that wrote it
  int64_t num_classes = 0;     // N
  int64_t embedding_size = 0;  // D
  DatasetReport data = {};
  std::string config_yaml;  // of the run, resolved; empty: imported from elsewhere
  std::string version;      // of arcshard
  std::string created;      // RFC 3339, UTC
  // Of the run's progress.
  double epoch = 0.0;  // fractional
  uint64_t skipped = 0;
  uint64_t skips_in_a_row = 0;
  uint64_t corrupt_records = 0;
  uint64_t corrupt_in_epoch = 0;
  double best_accuracy = 0.0;
  uint64_t best_step = 0;
  std::vector<FileRecord> files = {};  // all but the manifest, by name
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// JSON; the last field is the CRC-32C of all bytes before it, and nothing follows. InvalidArgument: a text is not
// UTF-8.
absl::StatusOr<std::string> FormatManifest(const Manifest& manifest);

// Reads exactly what FormatManifest writes. DataLoss: any byte differs, or a field cannot be; the message begins with
// `path`.
absl::StatusOr<Manifest> ParseManifest(absl::string_view text, absl::string_view path);

}  // namespace arcshard
