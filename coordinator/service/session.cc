#include "coordinator/service/session.h"

#include <utility>

namespace arcshard::coordinator {

Session::Session(Run::Options options, const Clock* clock, ProgressSink* sink)
    : run_(std::move(options), clock, this, sink) {}

Connection Session::Attach(std::shared_ptr<Stream> stream) {
  MutexLock lock(&mutex_);
  streams_.emplace(++last_connection_, std::move(stream));
  return last_connection_;
}

void Session::Receive(Connection from, const ParticipantMessage& message) {
  MutexLock lock(&mutex_);
  run_.Receive(from, message);
  CloseAllIfEnded();
}

void Session::Refuse(Connection from, const absl::Status& status) {
  MutexLock lock(&mutex_);
  run_.Refuse(from, status);
  CloseAllIfEnded();
}

void Session::Detach(Connection from, const absl::Status& status) {
  MutexLock lock(&mutex_);
  streams_.erase(from);
  run_.Disconnected(from, status.ok() ? "stream ended" : "stream broken");
  CloseAllIfEnded();
}

void Session::RequestStop() {
  MutexLock lock(&mutex_);
  run_.RequestStop();
  CloseAllIfEnded();
}

void Session::TakeCheckpoint(Checkpoints::Answer answer) {
  MutexLock lock(&mutex_);
  run_.TakeCheckpoint(std::move(answer));
}

void Session::CheckpointKept(uint64_t step, const absl::Status& status) {
  MutexLock lock(&mutex_);
  run_.CheckpointKept(step, status);
  CloseAllIfEnded();
}

void Session::Tick() {
  MutexLock lock(&mutex_);
  run_.Tick();
  CloseAllIfEnded();
}

RunStatus Session::Status() {
  MutexLock lock(&mutex_);
  return run_.Status();
}

std::optional<absl::Status> Session::AwaitEnd(absl::Duration timeout) {
  MutexLock lock(&mutex_);
  if (!run_.result().has_value()) ended_.WaitFor(&mutex_, timeout);
  return run_.result();
}

// Run has closed its members' streams; there may be others that never registered.
void Session::CloseAllIfEnded() {
  const std::optional<absl::Status>& result = run_.result();
  if (!result.has_value()) return;
  const absl::Status closing = result->ok() ? absl::OkStatus() : absl::AbortedError(result->message());
  for (const auto& [connection, stream] : streams_) stream->Close(closing);
  ended_.NotifyAll();
}

void Session::Send(Connection to, const CoordinatorMessage& message) {
  if (const auto stream = streams_.find(to); stream != streams_.end()) stream->second->Send(message);
}

void Session::Close(Connection to, const absl::Status& status) {
  if (const auto stream = streams_.find(to); stream != streams_.end()) stream->second->Close(status);
}

}  // namespace arcshard::coordinator
