#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/protocol/types.h"

// What a participant reports about itself in its heartbeats (coordinator.proto, ParticipantStats).
namespace arcshard {

// The number and total time of one phase of a step (metric_list.h).
struct PhaseTime {
  std::string name;
  uint64_t count = 0;
  double seconds = 0.0;  // in total
  friend bool operator==(const PhaseTime&, const PhaseTime&) = default;
};

// For whom a member of a view waits, and for how long; for nobody: it computes, reads or writes.
struct Waiting {
  View view = {};
  std::vector<uint32_t> shards = {};   // workers: that owe statistics or a connection. Shards: whose log is replayed.
  std::vector<uint32_t> workers = {};  // shards: that owe messages of the open step
  bool all_reduce = false;             // workers: for the others, but the all-reduce cannot tell for which
  bool coordinator = false;            // everything is done that was told
  double seconds = 0.0;                // since the last sign that something goes on

  bool waits() const { return !shards.empty() || !workers.empty() || all_reduce || coordinator; }
  friend bool operator==(const Waiting&, const Waiting&) = default;
};

struct ParticipantStats {
  uint64_t resident_bytes = 0;
  uint64_t held_bytes = 0;             // shards: for their range
  std::vector<PhaseTime> phases = {};  // since the process started
  uint64_t odd = 0;                    // figures that could not be and were left out or count as 0; on receipt
  // Workers, while they evaluate: images of their share that are embedded, and all of them. Else 0.
  uint64_t verified_images = 0;
  uint64_t images_to_verify = 0;
  uint64_t log_bytes = 0;       // shards: of the replay log
  double replay_seconds = 0.0;  // shards: what replaying all of it would take
  Waiting waiting = {};
  friend bool operator==(const ParticipantStats&, const ParticipantStats&) = default;
};

}  // namespace arcshard
