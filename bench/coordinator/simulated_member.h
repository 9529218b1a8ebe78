#pragma once

#include <cstdint>
#include <optional>

#include "common/protocol/messages.h"

namespace arcshard::bench {

// What a shard or a worker says to the coordinator, without computing anything: the messages are like those of the real
// programs, also in their size. Not thread-safe.
class SimulatedMember {
 public:
  // For whom it waits when it sends a heartbeat.
  enum class Waits {
    kNobody,        // it computes
    kOneWorker,     // shards: for worker 0
    kTheOtherRole,  // shards: for the messages of all workers; workers: for the statistics of all shards
    kItsOwnRole,    // workers: in the all-reduce
    kTheCoordinator,
  };

  // number: of all members, for the address.
  SimulatedMember(Role role, uint32_t number) : role_(role), number_(number) {}

  Role role() const { return role_; }
  Registration registration() const;

  void Hear(const CoordinatorMessage& message);
  uint32_t id() const { return id_; }                      // by its Welcome
  const View& view() const { return view_; }               // the newest that was announced to it; zero: none
  uint64_t planned_step() const { return planned_step_; }  // that it is to vote on; 0: none
  bool stops() const { return stops_; }                    // it was told to

  JoinedReport joined() const { return {.view = view_, .state = state_}; }
  ReadyVote vote() const;  // for the planned step
  // The next heartbeat, of a member that has waited for `seconds`.
  HeartbeatReport Beat(Waits waits, double seconds);
  // As in the middle of training: one after the other it computes, waits for the other role, and for its own.
  HeartbeatReport Beat();

  static DatasetReport dataset() { return {.samples = 1'000'000'000, .classes = 0, .fingerprint = 42}; }

 private:
  void FollowNext(const Next& next);

  const Role role_;
  const uint32_t number_;
  uint32_t id_ = 0;
  View view_ = {};
  StatePoint state_ = {};              // of the view
  uint32_t shards_ = 0, workers_ = 0;  // of the view
  uint64_t planned_step_ = 0;
  bool stops_ = false;
  uint64_t beats_ = 0;
};

}  // namespace arcshard::bench
