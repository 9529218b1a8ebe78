#include "coordinator/service/session.h"

#include <cassert>
#include <utility>

namespace arcshard::coordinator {
namespace {

Run::Options WithKeeper(Run::Options options, const CheckpointKeeper* keeper) {
  options.takes_checkpoints = keeper != nullptr;
  return options;
}

}  // namespace

Session::Session(Run::Options options, const Clock* clock, Receivers receivers)
    : receivers_{.outbox = this,
                 .progress = receivers.progress,
                 .keeper = receivers.keeper,
                 .keep_lease_history = std::move(receivers.keep_lease_history)},
      run_(WithKeeper(std::move(options), receivers.keeper), clock) {
  MutexLock lock(&mutex_);
  Drain();
}

Connection Session::Attach(std::shared_ptr<Stream> stream) {
  assert(stream != nullptr);
  MutexLock lock(&mutex_);
  streams_.emplace(++last_connection_, std::move(stream));
  return last_connection_;
}

bool Session::Receive(Connection from, const ParticipantMessage& message) {
  MutexLock lock(&mutex_);
  run_.Receive(from, message);
  Drain();
  return run_.IsMember(from);
}

void Session::Refuse(Connection from, const absl::Status& status) {
  MutexLock lock(&mutex_);
  run_.Refuse(from, status);
  Drain();
}

void Session::Detach(Connection from, const absl::Status& status) {
  MutexLock lock(&mutex_);
  streams_.erase(from);
  run_.Disconnected(from, status.ok() ? "stream ended" : "stream broken");
  Drain();
}

void Session::RequestStop() {
  MutexLock lock(&mutex_);
  run_.RequestStop();
  Drain();
}

void Session::TakeCheckpoint(CheckpointAnswer answer) {
  MutexLock lock(&mutex_);
  run_.TakeCheckpoint(std::move(answer));
  Drain();
}

void Session::CheckpointKept(uint64_t step, const absl::Status& status) {
  MutexLock lock(&mutex_);
  run_.CheckpointKept(step, status);
  Drain();
}

void Session::Tick() {
  MutexLock lock(&mutex_);
  run_.Tick();
  Drain();
}

RunStatus Session::Status() {
  MutexLock lock(&mutex_);
  return run_.Status();
}

RunStatus Session::Overview() {
  MutexLock lock(&mutex_);
  return run_.Overview();
}

std::optional<absl::Status> Session::AwaitEnd(absl::Duration timeout) {
  MutexLock lock(&mutex_);
  if (!run_.result().has_value()) ended_.WaitFor(&mutex_, timeout);
  return run_.result();
}

void Session::Drain() {
  Deliver(run_.TakeOutputs(), receivers_);
  const std::optional<absl::Status> result = run_.result();
  if (!result.has_value()) return;
  // The run has closed its members' streams; others have never registered.
  const absl::Status closing = result->ok() ? absl::OkStatus() : absl::AbortedError(result->message());
  for (const auto& [connection, stream] : streams_) stream->Close(closing);
  ended_.NotifyAll();
}

void Session::Send(Connection to, const std::shared_ptr<const CoordinatorMessage>& message) {
  if (const auto stream = streams_.find(to); stream != streams_.end()) stream->second->Send(message);
}

void Session::Close(Connection to, const absl::Status& status) {
  if (const auto stream = streams_.find(to); stream != streams_.end()) stream->second->Close(status);
}

}  // namespace arcshard::coordinator
