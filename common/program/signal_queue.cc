#include "common/program/signal_queue.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace arcshard::cli {

absl::StatusOr<std::unique_ptr<SignalQueue>> SignalQueue::Create(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  std::unique_ptr<SignalQueue> queue(new SignalQueue());
  pthread_sigmask(SIG_BLOCK, &set, &queue->before_);
  queue->fd_ = FileDescriptor(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!queue->fd_.valid()) return ErrnoStatus(errno, "signalfd", "cannot create");
  return queue;
}

SignalQueue::~SignalQueue() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

std::vector<int> SignalQueue::Take() {
  std::vector<int> signals;
  signalfd_siginfo info;
  while (read(fd_.get(), &info, sizeof(info)) == sizeof(info)) signals.push_back(static_cast<int>(info.ssi_signo));
  return signals;
}

}  // namespace arcshard::cli
