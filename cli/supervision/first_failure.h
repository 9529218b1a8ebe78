#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/supervision/process_exit.h"
#include "common/base/monotonic_time.h"

// When one process of a run fails, the others fail moments later, each with its own error. The functions here decide
// which failure is reported to the user.
namespace arcshard::cli {

enum class Role { kCoordinator, kShard, kWorker };

// The program of a role: "arcshard-shard".
std::string ProgramOf(Role role);

struct EndedProcess {
  Role role = Role::kCoordinator;
  uint32_t index = 0;  // within the role
  int64_t pid = 0;
  ProcessExit exit;
  MonotonicTime at;           // when it was noticed
  bool killed_by_us = false;  // then `exit` is not its fault
  // The run survived this end: another life of the process followed, or the run had ended in order already.
  bool survived = false;
  bool later_life = false;      // a life of the process had ended before
  std::string last_error = {};  // in its log
  std::string log = {};         // path
  std::string remark = {};      // what else is to be said of the end: a clause
};

bool FailedByItself(const EndedProcess& process);

// Returns the index of the process whose failure explains best what happened; ended.size() if none failed by itself.
// An end that the run survived is no failure. `ended` is in the order in which the ends were noticed. The choice is the
// first that exists of:
//   1. a process that was killed by a signal, at most `blame_window` after the first failure: the others failed because
//      of it;
//   2. the process with the pid `blamed`, which the coordinator's failure names; 0: it names none;
//   3. the coordinator, whose error the others only repeat;
//   4. the first process that failed.
size_t ChooseFailure(const std::vector<EndedProcess>& ended, int64_t blamed, absl::Duration blame_window);

// "arcshard-worker 1 was killed by signal 11 (SIGSEGV)"
// "arcshard-shard 0 failed: cannot listen on 127.0.0.1:99"
// "arcshard-worker 1 (pid 1021) was killed by signal 9 (SIGKILL)", if the run has survived it: the coordinator's
// sentences about the loss have the pid, too, and may number the process otherwise.
// After a SIGKILL that is not ours it also says that memory may have run out.
std::string DescribeEnd(const EndedProcess& process);

// The same with the remark, and where the log is: "arcshard-worker 1 was killed by signal 11 (SIGSEGV); its log is
// runs/a/logs/worker-1.log".
std::string DescribeFailure(const EndedProcess& process);

}  // namespace arcshard::cli
