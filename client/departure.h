#pragma once

#include <string>

#include "common/base/mutex.h"

namespace arcshard::client {

class Participant;

// How a process that is told to end leaves its run: any thread may announce it at any time. Thread-safe.
class Departure {
 public:
  // Tells the coordinator that `reason` ("SIGTERM") has told this process to end (coordinator.proto, Leaving). The end
  // of the run then ends the process. If the coordinator is lost, now or later, it is told when it is back; the process
  // waits for that for Rejoin::kPatienceAtTheEnd, and then the participant's OnClosed ends it.
  //
  // False: the process does not attend a run yet, so that there is nobody to tell. After it has attended, nothing is
  // done: the process is ending.
  bool Announce(const std::string& reason);

  // The participant calls these: it can send messages from now on; it cannot any more.
  void Begin(Participant* participant);
  void End();

 private:
  Mutex mutex_;
  bool begun_ ABSL_GUARDED_BY(mutex_) = false;
  Participant* participant_ ABSL_GUARDED_BY(mutex_) = nullptr;  // null: not yet, or not any more
};

}  // namespace arcshard::client
