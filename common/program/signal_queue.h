#pragma once

#include <csignal>
#include <initializer_list>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "common/io/file.h"

namespace arcshard::cli {

// Takes signals as they come instead of handlers: blocks them for this thread, and so for those it starts from now on,
// and tells of them through a descriptor that can be polled. Create it before any other thread.
class SignalQueue {
 public:
  static absl::StatusOr<std::unique_ptr<SignalQueue>> Create(std::initializer_list<int> signals);
  ~SignalQueue();  // restores what was blocked

  int fd() const { return fd_.get(); }  // readable when a signal has come
  std::vector<int> Take();              // those that have come since; does not wait

 private:
  SignalQueue() = default;

  sigset_t before_;
  FileDescriptor fd_;
};

}  // namespace arcshard::cli
