#include "common/program/stop_on_signal.h"

#include <algorithm>
#include <cassert>
#include <csignal>
#include <cstdlib>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/io/log.h"

namespace arcshard {
namespace {

// Of `signals`, one of which the second ends a process at once; 0: there is none.
int EndsIfRepeated(const std::vector<int>& signals) {
  const auto found = std::find_if(signals.begin(), signals.end(), [](int s) { return s == SIGINT || s == SIGTERM; });
  return found == signals.end() ? 0 : *found;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignalQueue>> TakeStopSignals() {
  signal(SIGPIPE, SIG_IGN);
  return SignalQueue::Create({SIGINT, SIGTERM, SIGHUP});
}

StopOnSignal::StopOnSignal(Options options) : options_(std::move(options)) {
  assert(options_.signals != nullptr && options_.clock != nullptr && options_.ask != nullptr);
  thread_ = std::thread([this] { Follow(); });
}

StopOnSignal::~StopOnSignal() {
  options_.signals->Wake();
  thread_.join();
}

int StopOnSignal::FailureStatus() const {
  const int signal = signal_;
  return signal == 0 ? EXIT_FAILURE : 128 + signal;
}

void StopOnSignal::EndProcess(int signal, const std::string& why) {
  LogError(why);
  std::_Exit(128 + signal);
}

void StopOnSignal::Follow() {
  const std::vector<int> arrived = options_.signals->Wait();
  if (arrived.empty()) return;
  const int signal = arrived.front();
  signal_ = signal;
  const std::string name = SignalName(signal);
  if (!options_.ask(name)) {
    options_.end(signal, absl::StrCat("stopped by ", name, "; there was no run yet to end in order"));
    return;
  }
  AwaitEnd(signal, name);
}

void StopOnSignal::AwaitEnd(int signal, const std::string& name) {
  const auto deadline = options_.clock->Now() + options_.grace;
  const auto left = [&] { return deadline - options_.clock->Now(); };
  LogInfo(absl::StrCat(name, " has told this process to end: the run is stopped in order"));
  if (EndsDuringRequest(left())) return;
  bool told = signal != SIGHUP;  // by a signal of which a second one ends this process
  while (true) {
    const std::vector<int> arrived = options_.signals->Wait(left());
    if (arrived.empty()) {
      if (options_.signals->AwaitWake(absl::ZeroDuration())) return;
      options_.end(signal, absl::StrCat("stopped by ", name, ": the run has not ended in order within ",
                                        absl::FormatDuration(options_.grace), " (--stop-grace)"));
      return;
    }
    const int again = EndsIfRepeated(arrived);
    if (again == 0 || !options_.ends_when_repeated) continue;
    if (told) {
      options_.end(again, absl::StrCat("stopped at once by a second signal, ", SignalName(again)));
      return;
    }
    told = true;
    if (EndsDuringRequest(left())) return;
  }
}

bool StopOnSignal::EndsDuringRequest(absl::Duration left) {
  if (options_.signals->AwaitWake(std::min(kSameRequest, left))) return true;
  options_.signals->Take();
  return false;
}

}  // namespace arcshard
