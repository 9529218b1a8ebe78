#pragma once

#include <csignal>
#include <initializer_list>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/file.h"

namespace arcshard {

// The signals that a process acts on, taken from a queue instead of by handlers. Create blocks them for the calling
// thread and thereby for all threads that it starts afterwards, so create the queue before any other thread, and only
// one in a process. A program may poll fd() beside other descriptors, call Take() now and then, or wait for signals on
// a thread of its own:
//
//   std::thread thread([queue] {
//     for (std::vector<int> signals; !(signals = queue->Wait()).empty();) { ... }
//   });
//   ...
//   queue->Wake();  // ends the thread's loop
//   thread.join();
//
// Take, Wait and Wake are thread-safe.
class SignalQueue {
 public:
  // Errors are those of signalfd and eventfd (file.h), such as ResourceExhausted: no descriptor is left.
  static absl::StatusOr<std::unique_ptr<SignalQueue>> Create(std::initializer_list<int> signals);
  ~SignalQueue();  // calls Restore

  int fd() const { return fd_.get(); }  // readable when a signal has arrived

  // The signals that have arrived since the last call. Does not wait. The same signal sent twice in between may be
  // reported once.
  std::vector<int> Take();

  // Waits until a signal has arrived or Wake was called, and returns what Take returns. Empty: Wake was called, before
  // or during the call.
  std::vector<int> Wait();

  // From now on Wait returns at once.
  void Wake();

  // Unblocks the signals as they were before Create, for the calling thread, which has to be the one that called
  // Create. From then on a signal has its usual effect: SIGINT and SIGTERM end the process at once. One that has
  // arrived and was not taken takes effect during the call. Idempotent.
  void Restore();

 private:
  SignalQueue() = default;

  sigset_t before_;  // what the thread blocked before Create
  bool blocked_ = false;
  FileDescriptor fd_;
  FileDescriptor wake_;  // an eventfd, readable once Wake was called
};

}  // namespace arcshard
