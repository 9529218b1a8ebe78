#include "worker/training/all_reduce/connect_group.h"

#include <cstdint>
#include <exception>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/host_port.h"
#include "torch/csrc/distributed/c10d/PrefixStore.hpp"
#include "torch/csrc/distributed/c10d/TCPStore.hpp"
#include "worker/training/all_reduce/c10d_error.h"

namespace arcshard::worker {
namespace {

// How often the store is asked whether the others have come. Connecting takes as long.
constexpr absl::Duration kPoll = absl::Milliseconds(10);

// Each worker writes its device under its rank when it has come.
std::string KeyOf(int rank) { return absl::StrCat("device/", rank); }

// Everybody is there.
std::unique_ptr<ReduceGroup> MakeGroup(const c10::intrusive_ptr<c10d::Store>& store, const AllReduceOptions& options) {
  std::vector<std::string> identities;
  for (size_t rank = 0; rank < options.workers.size(); ++rank) {
    const std::vector<uint8_t> identity = store->get(KeyOf(static_cast<int>(rank)));
    identities.emplace_back(identity.begin(), identity.end());
  }
  return CanUseNccl(identities) ? MakeNcclGroup(store, options) : MakeGlooGroup(store, options);
}

}  // namespace

ConnectedGroup ConnectGroup(const AllReduceOptions& options, const Pause& pause) {
  const absl::StatusOr<HostPort> rendezvous = ParsePeerAddress(options.rendezvous);
  if (!rendezvous.ok()) return {Annotate(rendezvous.status(), "the workers' rendezvous")};
  std::vector<int> lost;  // if a call throws
  if (options.rank != 0) lost.push_back(0);
  try {
    c10d::TCPStoreOptions store_options;
    store_options.port = static_cast<uint16_t>(rendezvous->port);
    store_options.timeout = absl::ToChronoMilliseconds(options.connect_timeout);
    store_options.waitWorkers = false;
    const auto store = c10::make_intrusive<c10d::PrefixStore>(
        ToString(options.view), c10::make_intrusive<c10d::TCPStore>(rendezvous->host, store_options));
    const std::string own = DeviceIdentity(options.device);
    store->set(KeyOf(options.rank), std::vector<uint8_t>(own.begin(), own.end()));
    std::vector<std::string> keys;
    for (size_t rank = 0; rank < options.workers.size(); ++rank) keys.push_back(KeyOf(static_cast<int>(rank)));
    while (!store->check(keys)) {
      if (const absl::Status status = pause(kPoll); !status.ok()) return {status};
    }
    lost.clear();
    for (int rank = 0; rank < static_cast<int>(options.workers.size()); ++rank) {
      if (rank != options.rank) lost.push_back(rank);
    }
    return {absl::OkStatus(), MakeGroup(store, options)};
  } catch (const std::exception& error) {
    return {absl::UnavailableError(absl::StrCat("cannot join the all-reduce of ", ToString(options.view),
                                                " (rendezvous at ", options.rendezvous, "): ", FirstLine(error))),
            nullptr, lost};
  }
}

}  // namespace arcshard::worker
