#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/stream.h"
#include "tests/simulation/world.h"

namespace arcshard::simulation {

using AttendStream = Stream<ParticipantMessage, CoordinatorMessage>;

class SimShard;
class SimWorker;

// Where processes find each other, and what they do to the whole.
class Directory {
 public:
  virtual ~Directory() = default;
  // Opens a stream to the coordinator that listens now; null: none does, or the link is cut.
  virtual std::shared_ptr<AttendStream> ConnectToCoordinator(StreamEnd<CoordinatorMessage> client) = 0;
  // The process at the address; null: none lives there.
  virtual std::shared_ptr<SimShard> ShardAt(const std::string& address) = 0;
  virtual std::shared_ptr<SimWorker> WorkerAt(const std::string& address) = 0;
  // `who` has reached the state after `step` of `what`, a range of classes or the backbone.
  virtual void Reached(const std::string& who, const std::string& what, uint64_t step, uint64_t state) = 0;
  // A coordinator announces a decision that follows the state `before`.
  virtual void Decided(const StatePoint& before, const Decision& decision) = 0;
  // The run of this coordinator has ended with an error.
  virtual void RunFailed(const Process* coordinator, const absl::Status& status) = 0;
  // Something happened that must not.
  virtual void Violation(const std::string& what) = 0;
  virtual void Log(const std::string& what) = 0;
};

// What shards and workers share: their stream to the coordinator, as client/participant.h has it, with heartbeats,
// signs of life, and further attempts after a loss.
class SimParticipant : public Process, public std::enable_shared_from_this<SimParticipant> {
 public:
  struct Parts {
    World* world = nullptr;
    Directory* directory = nullptr;
    Disk* disk = nullptr;
    const RunConfig* config = nullptr;
  };
  SimParticipant(Parts parts, std::string host) : Process(std::move(host)), parts_(parts) {}

  // Registers for the first time.
  void Start();
  bool ended() const { return ended_; }  // in order
  std::string address() const { return host() + ":7000"; }

 protected:
  virtual Registration Describe() = 0;
  virtual void OnMessage(const CoordinatorMessage& message) = 0;
  // The connection to the coordinator is lost; Attach follows when the owner is ready.
  virtual void OnDetached() = 0;
  virtual ParticipantStats Stats() const { return {}; }

  void Attach(Registration registration);
  void Send(ParticipantMessage message);
  // This process ends with an error.
  void Fail(const absl::Status& status);
  std::shared_ptr<SimParticipant> self() { return shared_from_this(); }
  World* world() const { return parts_.world; }
  Directory* directory() const { return parts_.directory; }
  Disk* disk() const { return parts_.disk; }
  const RunConfig& config() const { return *parts_.config; }

 private:
  void Try(const Registration& registration, uint64_t attempt);
  void Receive(const CoordinatorMessage& message);
  void Closed(const absl::Status& status);
  void Detach();
  void Beat(uint64_t attempt);

  const Parts parts_;
  std::shared_ptr<AttendStream> stream_;
  uint64_t attempt_ = 0;  // streams so far: what belongs to an earlier one is ignored
  MonotonicTime last_heard_;
  uint64_t incarnation_ = 0;  // the highest of a Welcome
  bool ended_ = false;
};

}  // namespace arcshard::simulation
