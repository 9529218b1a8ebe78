#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/train/process_exit.h"

// When one process of a run fails the others follow within moments, each with its own version of what happened. Which
// one is it that the user should hear of?
namespace arcshard::cli {

enum class Role { kCoordinator, kShard, kWorker };

// "arcshard-shard": the program of a role.
std::string ProgramOf(Role role);

struct EndedProcess {
  Role role = Role::kCoordinator;
  uint32_t index = 0;  // within the role
  int64_t pid = 0;
  ProcessExit exit;
  absl::Time at;                // when it was noticed
  bool killed_by_us = false;    // then its exit says nothing
  std::string last_error = {};  // of its log
  std::string log = {};         // path
};

// `ended`: in the order in which they were noticed. Returns the index of the one that tells best what failed; `ended`'s
// size when none of them failed by itself. In this order:
//   1. who was killed by a signal, at most `blame_window` after the first failure: the others are its victims;
//   2. the process `blamed`, a pid that the coordinator's failure names, 0 if it names none;
//   3. the coordinator, whose last words the others only repeat;
//   4. the first.
size_t ChooseFailure(const std::vector<EndedProcess>& ended, int64_t blamed, absl::Duration blame_window);

// "arcshard-worker 1 was killed by signal 9 (SIGKILL); its log is runs/a/logs/worker-1.log"
// "arcshard-shard 0 failed: cannot listen on 127.0.0.1:99; its log is runs/a/logs/shard-0.log"
std::string DescribeFailure(const EndedProcess& process);

}  // namespace arcshard::cli
