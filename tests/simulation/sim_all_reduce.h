#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/protocol/types.h"
#include "tests/simulation/world.h"

namespace arcshard::simulation {

// The all-reduce of all views. A call ends when every worker of the view has made it. It fails when one of them is dead
// or has left the view. While a link between two of them is cut it waits; a meeting gives up some time.
class SimAllReduce {
 public:
  using Done = std::function<void(const absl::StatusOr<uint64_t>&)>;

  explicit SimAllReduce(World* world) : world_(world) {}

  // round: 0 for the meeting of a view, whose result is the state of the worker `root`; else the step, whose result is
  // the sum.
  struct Share {
    size_t position = 0;  // of the worker among the view's
    size_t root = 0;      // round 0 only
    uint64_t value = 0;
    absl::Duration patience;  // round 0 only: then the meeting gives up
  };
  void Add(const ViewAnnouncement& view, uint64_t round, const std::shared_ptr<Process>& who, const Share& share,
           Done done) {
    Call& call = calls_[{view.view, round}];
    call.size = view.workers.size();
    call.root = share.root;
    call.patience = share.patience;
    call.arrived[share.position] = {who, share.value, std::move(done)};
    TryToFinish({view.view, round});
  }

  // The worker uses the view no more: what waits for it there fails.
  void Leave(const View& view, size_t position) {
    for (auto call = calls_.begin(); call != calls_.end();) {
      const bool concerned = call->first.first == view;
      if (concerned) call->second.arrived.erase(position);
      if (!concerned) {
        ++call;
        continue;
      }
      const Call failed = std::move(call->second);
      call = calls_.erase(call);
      for (const auto& [other, arrival] : failed.arrived) Tell(arrival, absl::UnavailableError("lost a peer"));
    }
  }

 private:
  struct Arrival {
    std::shared_ptr<Process> who;
    uint64_t value = 0;
    Done done;
  };
  struct Call {
    size_t size = 0;
    size_t root = 0;
    absl::Duration patience;
    std::map<size_t, Arrival> arrived;  // by position
  };
  using Key = std::pair<View, uint64_t>;

  void Tell(const Arrival& arrival, const absl::StatusOr<uint64_t>& result) {
    world_->Later(arrival.who, world_->Delay(), [done = arrival.done, result] { done(result); });
  }

  void Wait(const Key& key) {
    world_->OnHeal([this, key] { TryToFinish(key); });
    if (key.second != 0) return;
    world_->time()->After(calls_.at(key).patience, [this, key] {
      const auto found = calls_.find(key);
      if (found == calls_.end()) return;
      const Call failed = std::move(found->second);
      calls_.erase(found);
      for (const auto& [position, arrival] : failed.arrived) Tell(arrival, absl::UnavailableError("cannot connect"));
    });
  }

  void TryToFinish(const Key& key) {
    const auto found = calls_.find(key);
    if (found == calls_.end()) return;
    const Call& call = found->second;
    if (call.arrived.size() < call.size) return;
    uint64_t sum = 0;
    for (const auto& [position, arrival] : call.arrived) {
      sum += arrival.value;
      for (const auto& [other, peer] : call.arrived) {
        if (world_->IsCut(arrival.who->host(), peer.who->host())) return Wait(key);
      }
    }
    const uint64_t result = key.second == 0 ? call.arrived.at(call.root).value : sum;
    const Call done = std::move(found->second);
    calls_.erase(found);
    for (const auto& [position, arrival] : done.arrived) Tell(arrival, result);
  }

  World* const world_;
  std::map<Key, Call> calls_;
};

}  // namespace arcshard::simulation
