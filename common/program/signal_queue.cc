#include "common/program/signal_queue.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace arcshard {
namespace {

// A blocked signal is queued even if it is ignored, so these have to be left out by hand.
bool StaysIgnored(int signal) {
  if (signal != SIGHUP && signal != SIGPIPE) return false;
  struct sigaction now {};
  return sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

// poll, repeated after a signal that is not in the queue, for at most `limit`. False: `limit` has passed.
bool PollFor(pollfd* fds, nfds_t count, absl::Duration limit) {
  const timespec timeout = absl::ToTimespec(std::max(limit, absl::ZeroDuration()));
  int ready;
  do {
    ready = ppoll(fds, count, limit == absl::InfiniteDuration() ? nullptr : &timeout, nullptr);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignalQueue>> SignalQueue::Create(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    if (!StaysIgnored(signal)) sigaddset(&set, signal);
  }
  std::unique_ptr<SignalQueue> queue(new SignalQueue());
  queue->fd_ = FileDescriptor(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!queue->fd_.valid()) return ErrnoStatus(errno, "signalfd", "cannot create");
  queue->wake_ = FileDescriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!queue->wake_.valid()) return ErrnoStatus(errno, "eventfd", "cannot create");
  pthread_sigmask(SIG_BLOCK, &set, &queue->before_);
  queue->blocked_ = true;
  return queue;
}

SignalQueue::~SignalQueue() {
  if (!blocked_) return;
  Take();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

std::vector<int> SignalQueue::Take() {
  std::vector<int> signals;
  signalfd_siginfo info;
  while (read(fd_.get(), &info, sizeof(info)) == sizeof(info)) signals.push_back(static_cast<int>(info.ssi_signo));
  return signals;
}

std::vector<int> SignalQueue::Wait(absl::Duration limit) {
  pollfd fds[] = {{fd_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  while (PollFor(fds, 2, limit)) {
    if ((fds[1].revents & POLLIN) != 0) return {};
    std::vector<int> signals = Take();
    if (!signals.empty()) return signals;  // else another thread took them
  }
  return {};
}

bool SignalQueue::AwaitWake(absl::Duration limit) {
  pollfd wake = {wake_.get(), POLLIN, 0};
  return PollFor(&wake, 1, limit);
}

void SignalQueue::Wake() {
  // A write to an eventfd fails only if its counter is full, and then it is readable anyway.
  const uint64_t one = 1;
  while (write(wake_.get(), &one, sizeof(one)) < 0 && errno == EINTR) {
  }
}

std::string SignalName(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name == nullptr ? absl::StrCat("signal ", signal) : absl::StrCat("SIG", name);
}

}  // namespace arcshard
