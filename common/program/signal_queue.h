#pragma once

#include <csignal>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/io/file.h"

namespace arcshard {

// The signals that a process acts on, taken from a queue instead of by handlers. Create blocks them for the calling
// thread and thereby for all threads that it starts afterwards, so create the queue before any other thread, and only
// one in a process. The first process of a container gets them too, although the kernel keeps from it every signal that
// it neither handles nor blocks. A program may poll fd() beside other descriptors and call Take() now and then, or wait
// for signals on a thread of its own (StopOnSignal). Take, Wait, AwaitWake and Wake are thread-safe.
class SignalQueue {
 public:
  // SIGHUP and SIGPIPE stay ignored where the caller of this program ignores them, as nohup does: they are left out.
  // Errors are those of signalfd and eventfd (file.h), such as ResourceExhausted: no descriptor is left.
  static absl::StatusOr<std::unique_ptr<SignalQueue>> Create(std::initializer_list<int> signals);
  // Drops what was not taken, and unblocks the signals as they were before Create, for the calling thread, which has to
  // be the one that called Create.
  ~SignalQueue();

  int fd() const { return fd_.get(); }  // readable when a signal has arrived

  // The signals that have arrived since the last call. Does not wait. The same signal sent twice in between may be
  // reported once.
  std::vector<int> Take();

  // Waits until a signal has arrived, and returns what Take returns. Empty: Wake was called before or during the call,
  // or `limit` has passed.
  std::vector<int> Wait(absl::Duration limit = absl::InfiniteDuration());

  // Waits until Wake is called or was called before; false: `limit` has passed. Signals stay in the queue.
  bool AwaitWake(absl::Duration limit);

  // From now on Wait and AwaitWake return at once.
  void Wake();

 private:
  SignalQueue() = default;

  sigset_t before_;  // what the thread blocked before Create
  bool blocked_ = false;
  FileDescriptor fd_;
  FileDescriptor wake_;  // an eventfd, readable once Wake was called
};

// "SIGTERM"; "signal 40" for one without a name.
std::string SignalName(int signal);

}  // namespace arcshard
