#include "common/program/signal_queue.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace arcshard {

absl::StatusOr<std::unique_ptr<SignalQueue>> SignalQueue::Create(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) sigaddset(&set, signal);
  std::unique_ptr<SignalQueue> queue(new SignalQueue());
  queue->fd_ = FileDescriptor(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!queue->fd_.valid()) return ErrnoStatus(errno, "signalfd", "cannot create");
  queue->wake_ = FileDescriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!queue->wake_.valid()) return ErrnoStatus(errno, "eventfd", "cannot create");
  pthread_sigmask(SIG_BLOCK, &set, &queue->before_);
  queue->blocked_ = true;
  return queue;
}

SignalQueue::~SignalQueue() { Restore(); }

std::vector<int> SignalQueue::Take() {
  std::vector<int> signals;
  signalfd_siginfo info;
  while (read(fd_.get(), &info, sizeof(info)) == sizeof(info)) signals.push_back(static_cast<int>(info.ssi_signo));
  return signals;
}

std::vector<int> SignalQueue::Wait() {
  pollfd fds[] = {{fd_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  while (true) {
    if (poll(fds, 2, /*timeout=*/-1) < 0) continue;  // EINTR: a signal that is not in the queue
    if ((fds[1].revents & POLLIN) != 0) return {};
    std::vector<int> signals = Take();
    if (!signals.empty()) return signals;  // else another thread took them
  }
}

void SignalQueue::Wake() {
  // A write to an eventfd fails only if its counter is full, and then it is readable anyway.
  const uint64_t one = 1;
  while (write(wake_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

void SignalQueue::Restore() {
  if (!blocked_) return;
  blocked_ = false;
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace arcshard
