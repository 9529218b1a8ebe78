#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/class_range.h"
#include "common/protocol/best_verification.h"
#include "common/protocol/verification_report.h"

namespace arcshard::cli {

// The contents of metrics.jsonl (docs/metrics_log.md). A number that is missing there is NaN, a missing count 0.
struct RunRecord {
  // From one start of a coordinator to its end.
  struct Life {
    absl::Time began;
    absl::Time last;            // time of its last line; the machine's date may have been set in between
    absl::Duration took = {};   // from its first line to its last; without jumps of the date in files that say so
    bool fresh = false;         // it began at step 0: what earlier lives trained is not part of it
    std::string outcome = {};   // "finished", "stopped" or "failed"; empty: no end is recorded
    std::string sentence = {};  // why it failed
    std::string config = {};
    std::string version = {};
    std::string host = {};
    uint64_t incarnation = 0;
    uint64_t step = 0;  // the last recorded step
  };
  struct Member {
    std::string role;
    uint64_t id = 0;
    std::string host = {};
    std::string address = {};
    int64_t pid = 0;
    ClassRange range = {};  // for shards
    uint64_t capacity_bytes = 0;
  };
  using Phases = std::vector<std::pair<std::string, double>>;  // name, seconds of a step
  struct Step {
    uint64_t step = 0;
    double epoch = 0, loss = 0, target_cosine = 0, lr = 0, samples_per_second = 0;
    double worker_bytes = 0, shard_bytes = 0;  // resident memory of the largest worker and shard
    uint64_t skipped = 0, corrupt_records = 0;
    Phases worker = {}, shard = {};
  };
  struct Verification {
    uint64_t step = 0;
    std::vector<VerificationReport> sets;
  };

  // How the run went on after a loss.
  struct Recovery {
    absl::Time ended;
    uint64_t step = 0;                   // the last decided one when the run went on
    std::vector<std::string> lost = {};  // names of processes; empty: only connections were
    double seconds = 0;                  // from the loss on
    uint64_t replayed_steps = 0;         // by the shard that replayed the most
    uint64_t lost_steps = 0;             // by a rollback
    std::string sentence = {};           // all of this
  };

  uint64_t lost_steps() const;  // by all recoveries
  // Number of lives that led to the present state: those since the run last began at step 0.
  size_t starts() const;
  // The time of these lives, without the pauses between them.
  absl::Duration took() const;

  std::vector<Life> lives;
  std::vector<Member> members;  // in the last view
  int64_t num_classes = 0;
  uint64_t planned_steps = 0;               // 0: not known yet
  std::vector<Step> steps;                  // ascending
  std::vector<Verification> verifications;  // ascending
  std::vector<Recovery> recoveries;         // since the run last began at step 0, in order
  std::vector<std::string> damaged;         // the first lines that could not be read, and why
  size_t damaged_lines = 0;                 // number of all such lines
  BestVerification best = {};               // of `verifications`
};

// Ignores lines of unknown kinds and counts damaged ones. The record is one history: when a later life of the run
// resumes from a checkpoint, or goes back to one while it is in progress, the later steps and verifications of before
// are dropped.
RunRecord ReadRunRecord(absl::string_view text);

}  // namespace arcshard::cli
