#include "coordinator/policy/device_leases.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace arcshard::coordinator {
namespace {

constexpr size_t kMostDevices = 64;  // of one request
constexpr size_t kMostListed = 8;    // in a sentence

absl::Status Check(absl::string_view name, const DeviceRequest& request) {
  if (request.machine.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " asks for a GPU but does not name its machine"));
  }
  if (request.devices.empty() || request.devices.size() > kMostDevices) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " asks for one of ", request.devices.size(), " GPUs; it must be 1 to ", kMostDevices));
  }
  std::set<absl::string_view> uuids;
  for (const VisibleDevice& device : request.devices) {
    if (device.uuid.empty()) return absl::InvalidArgumentError(absl::StrCat(name, " names a GPU without its uuid"));
    if (!uuids.insert(device.uuid).second) {
      return absl::InvalidArgumentError(absl::StrCat(name, " names GPU ", device.uuid, " twice"));
    }
  }
  return absl::OkStatus();
}

std::string Describe(const VisibleDevice& device) {
  return device.name.empty() ? device.uuid : absl::StrCat(device.uuid, " (", device.name, ")");
}

}  // namespace

absl::StatusOr<VisibleDevice> DeviceLeases::Lease(Holder holder, absl::string_view name, const DeviceRequest& request) {
  if (const auto again = held_.find(holder); again != held_.end()) return again->second.device;
  RETURN_IF_ERROR(Check(name, request));
  const VisibleDevice* const device = Choose(request);
  if (device == nullptr) return NoneIsLeft(name, request);
  held_.emplace(holder, Held{request.machine, *device, std::string(name), request.share});
  Remember(request, device->uuid);
  return *device;
}

void DeviceLeases::Release(Holder holder) { held_.erase(holder); }

std::vector<const DeviceLeases::Held*> DeviceLeases::HoldersOf(absl::string_view machine,
                                                               absl::string_view uuid) const {
  std::vector<const Held*> holders;
  for (const auto& [holder, held] : held_) {
    if (held.machine == machine && held.device.uuid == uuid) holders.push_back(&held);
  }
  return holders;
}

const VisibleDevice* DeviceLeases::Choose(const DeviceRequest& request) const {
  const VisibleDevice* best = nullptr;
  std::pair<size_t, int> best_rank;  // holders, then what it was before; lower is better
  for (const VisibleDevice& device : request.devices) {
    if (!request.held.empty() && device.uuid != request.held) continue;
    const std::vector<const Held*> holders = HoldersOf(request.machine, device.uuid);
    const bool all_share =
        request.share && std::all_of(holders.begin(), holders.end(), [](const Held* held) { return held->share; });
    if (!holders.empty() && !all_share) continue;
    const int before = WasItsOwn(request, device.uuid) ? 0 : WasLeased(request.machine, device.uuid) ? 2 : 1;
    const std::pair<size_t, int> rank = {holders.size(), before};
    if (best == nullptr || rank < best_rank) {
      best = &device;
      best_rank = rank;
    }
  }
  return best;
}

absl::Status DeviceLeases::NoneIsLeft(absl::string_view name, const DeviceRequest& request) const {
  if (!request.held.empty()) {
    const std::vector<const Held*> holders = HoldersOf(request.machine, request.held);
    if (holders.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, " holds its state on GPU ", request.held, ", which it does not see"));
    }
    return absl::FailedPreconditionError(absl::StrCat(name, " holds its state on GPU ", request.held,
                                                      ", but that is leased to ", holders.front()->name));
  }
  std::vector<std::string> leases;
  for (const VisibleDevice& device : request.devices) {
    const auto who = [](std::string* out, const Held* held) { absl::StrAppend(out, held->name); };
    leases.push_back(
        absl::StrCat(Describe(device), " to ", absl::StrJoin(HoldersOf(request.machine, device.uuid), " and ", who)));
  }
  const size_t count = leases.size();
  if (count > kMostListed) {
    leases.resize(kMostListed);
    leases.push_back(absl::StrCat(count - kMostListed, " more to others"));
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("no GPU is left for ", name, ": ", count == 1 ? "the only one" : absl::StrCat("all ", count),
                   " that it sees ", count == 1 ? "is" : "are", " leased, ", absl::StrJoin(leases, ", "),
                   "; start fewer shards on that machine, or all with --share-device"));
}

// Whether the request's replica had the device last.
bool DeviceLeases::WasItsOwn(const DeviceRequest& request, absl::string_view uuid) const {
  return std::any_of(history_.begin(), history_.end(), [&](const PastLease& past) {
    return past.machine == request.machine && past.uuid == uuid && past.replica == request.replica;
  });
}

bool DeviceLeases::WasLeased(absl::string_view machine, absl::string_view uuid) const {
  return std::any_of(history_.begin(), history_.end(),
                     [&](const PastLease& past) { return past.machine == machine && past.uuid == uuid; });
}

// Replaces the entry of an earlier replica, unless that still holds the device too.
void DeviceLeases::Remember(const DeviceRequest& request, const std::string& uuid) {
  if (WasItsOwn(request, uuid)) return;
  if (HoldersOf(request.machine, uuid).size() == 1) {
    std::erase_if(history_,
                  [&](const PastLease& past) { return past.machine == request.machine && past.uuid == uuid; });
  }
  history_.push_back({request.machine, uuid, request.replica});
}

}  // namespace arcshard::coordinator
