#include "tests/simulation/sim_coordinator.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace arcshard::simulation {

SimCoordinator::SimCoordinator(World* world, Directory* directory, Disk* disk, const RunConfig* config,
                               std::string host)
    : Process(std::move(host)), world_(world), directory_(directory), disk_(disk), config_(config) {}

void SimCoordinator::Start() {
  incarnation_ = ++disk_->incarnation;
  coordinator::Run::Options options;
  options.config = *config_;
  options.incarnation = incarnation_;
  options.takes_checkpoints = true;
  options.new_token = [this] { return absl::StrCat("token-", world_->Draw(uint64_t{1} << 40)); };
  if (const std::string newest = disk_->Newest(); !newest.empty()) {
    options.resume = coordinator::ResumePoint{newest, disk_->manifests.at(newest)};
  }
  run_ = std::make_unique<coordinator::Run>(std::move(options), world_->time());
  Drain();
  Tick();
}

std::shared_ptr<AttendStream> SimCoordinator::Accept(StreamEnd<CoordinatorMessage> client) {
  const coordinator::Connection connection = ++last_;
  StreamEnd<ParticipantMessage> server;
  server.process = shared_from_this();
  server.on_message = [this, connection](const ParticipantMessage& message) {
    run_->Receive(connection, message);
    Drain();
  };
  server.on_closed = [this, connection](const absl::Status& status) {
    streams_.erase(connection);
    run_->Disconnected(connection, status.ok() ? "stream ended" : "stream broken");
    Drain();
  };
  const auto stream = AttendStream::Connect(world_, std::move(client), std::move(server));
  streams_[connection] = stream;
  return stream;
}

void SimCoordinator::RequestStop() {
  run_->RequestStop();
  Drain();
}

void SimCoordinator::Tick() {
  if (ended_) return;
  // The real one looks at each tick, but a network's file system may show it an old incarnation for a while.
  if (disk_->incarnation != incarnation_ && world_->Draw(20) == 0) {
    directory_->Log(absl::StrCat(host(), " ends: another coordinator has taken the run's folder"));
    return Die();
  }
  run_->Tick();
  Drain();
  world_->Later(shared_from_this(), absl::Milliseconds(100), [this] { Tick(); });
}

void SimCoordinator::Drain() {
  coordinator::Deliver(run_->TakeOutputs(), {.outbox = this, .progress = this, .keeper = this});
  if (!run_->result().has_value()) return;
  if (std::exchange(ended_, true)) return;
  if (!run_->result()->ok()) directory_->RunFailed(this, *run_->result());
  const absl::Status closing = run_->result()->ok() ? absl::OkStatus() : absl::AbortedError("the run has ended");
  for (const auto& [connection, stream] : std::exchange(streams_, {})) stream->CloseByServer(closing);
}

void SimCoordinator::Send(coordinator::Connection to, const std::shared_ptr<const CoordinatorMessage>& message) {
  if (const auto* const view = std::get_if<ViewAnnouncement>(message.get())) {
    view_ = view->view;
    decided_ = view->state;
  }
  if (const auto* const decision = std::get_if<Decision>(message.get());
      decision != nullptr && decision->step != decided_.step) {
    directory_->Decided(decided_, *decision);
    decided_ = decision->after();
  }
  if (const auto stream = streams_.find(to); stream != streams_.end()) stream->second->SendToClient(*message);
}

void SimCoordinator::Close(coordinator::Connection to, const absl::Status& status) {
  const auto stream = streams_.find(to);
  if (stream == streams_.end()) return;
  stream->second->CloseByServer(status);
  streams_.erase(stream);
}

// The real keeper reads the incarnation again before it writes.
void SimCoordinator::Complete(const std::string& folder, Manifest manifest) {
  world_->Later(shared_from_this(), world_->Delay(), [this, folder, manifest = std::move(manifest)] {
    absl::Status status;
    if (disk_->incarnation != incarnation_) {
      status = absl::AbortedError("another coordinator has taken the run's folder");
    } else {
      disk_->manifests[folder] = manifest;
      disk_->was_complete.insert(folder);
    }
    run_->CheckpointKept(manifest.step, status);
    Drain();
  });
}

// Keeps the newest only.
void SimCoordinator::DeleteSuperseded() {
  if (disk_->incarnation != incarnation_) return;
  const std::string newest = disk_->Newest();
  std::erase_if(disk_->manifests, [&](const auto& one) { return one.first != newest; });
  std::erase_if(disk_->parts,
                [&](const auto& one) { return one.first != newest && disk_->was_complete.contains(one.first); });
}

void SimCoordinator::Abandon(const std::string& folder) {
  if (!disk_->manifests.contains(folder)) disk_->parts.erase(folder);
}

}  // namespace arcshard::simulation
