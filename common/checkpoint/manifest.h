#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/protocol/best_verification.h"
#include "common/protocol/checkpoint_report.h"
#include "common/protocol/messages.h"
#include "common/protocol/run_counters.h"
#include "common/protocol/types.h"

// manifest.json, the file of a checkpoint that is written last and makes it complete (DESIGN §4).
namespace arcshard {

// The state of a run after `step`: the files and the coordinator's own state. The position in the training set follows
// from the step (SamplePlan).
struct Manifest {
  uint64_t step = 0;
  uint64_t lineage = 0;        // of the state; 0 too if the checkpoint is of an earlier version, or was imported
  uint64_t incarnation = 0;    // in which the coordinator wrote it
  uint64_t view_counter = 1;   // of the view in which it was asked for
  int64_t num_classes = 0;     // N
  int64_t embedding_size = 0;  // D
  DatasetReport data = {};
  std::string config_yaml;  // the run's configuration, resolved; empty: the checkpoint was imported
  std::string version;      // arcshard's
  std::string created;      // RFC 3339, UTC
  // The run's counters.
  double epoch = 0.0;  // fractional
  uint64_t skipped = 0;
  uint64_t skips_in_a_row = 0;
  uint64_t corrupt_records = 0;
  uint64_t corrupt_in_epoch = 0;
  uint64_t verified_step = 0;
  BestVerification best = {};
  std::vector<FileRecord> files = {};  // all but the manifest, sorted by name
  StatePoint state() const { return {step, lineage}; }
  friend bool operator==(const Manifest&, const Manifest&) = default;
};

// The manifest's counters.
RunCounters CountersOf(const Manifest& manifest);
// Sets them.
void Keep(const RunCounters& counters, Manifest* manifest);

// JSON whose last field is the CRC-32C of all bytes before it. A configuration that is not UTF-8, since a path in it is
// not, is written byte by byte. InvalidArgument: another text is not UTF-8.
absl::StatusOr<std::string> FormatManifest(const Manifest& manifest);

// Reads only what FormatManifest writes. DataLoss: a byte differs, or a field is impossible. The message begins with
// `path`.
absl::StatusOr<Manifest> ParseManifest(absl::string_view text, absl::string_view path);

}  // namespace arcshard
