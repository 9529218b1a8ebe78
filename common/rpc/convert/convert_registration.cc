#include "common/rpc/convert/convert_registration.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/convert/check_fields.h"
#include "common/rpc/convert/convert.h"

namespace arcshard {
namespace {

constexpr int kMostDevices = 256;  // that a machine has, each GPU in up to seven parts

v1::DeviceRequest ToDeviceRequest(const DeviceRequest& request) {
  v1::DeviceRequest out;
  out.set_machine(request.machine);
  out.set_replica(request.replica);
  out.set_held(request.held);
  out.set_share(request.share);
  for (const VisibleDevice& device : request.devices) {
    v1::Device* one = out.add_devices();
    one->set_uuid(device.uuid);
    one->set_name(device.name);
    one->set_capacity_bytes(device.capacity_bytes);
  }
  return out;
}

absl::StatusOr<DeviceRequest> FromDeviceRequest(const v1::DeviceRequest& message) {
  RETURN_IF_ERROR(CheckCount("register.device_request.devices", message.devices_size(), kMostDevices));
  RETURN_IF_ERROR(CheckName("register.device_request.machine", message.machine()));
  RETURN_IF_ERROR(CheckName("register.device_request.replica", message.replica()));
  RETURN_IF_ERROR(CheckName("register.device_request.held", message.held()));
  DeviceRequest request{.machine = message.machine(),
                        .replica = message.replica(),
                        .devices = {},
                        .held = message.held(),
                        .share = message.share()};
  for (const v1::Device& device : message.devices()) {
    RETURN_IF_ERROR(CheckName("register.device_request.devices.uuid", device.uuid()));
    RETURN_IF_ERROR(CheckName("register.device_request.devices.name", device.name()));
    request.devices.push_back({device.uuid(), device.name(), device.capacity_bytes()});
  }
  return request;
}

// The members of the view: a shard may hold no class, but nobody is there twice.
absl::Status CheckMembers(const v1::Held& message) {
  RETURN_IF_ERROR(CheckCount("held.range_ends", message.range_ends_size(), kMostMembers));
  int64_t before = 0;
  for (const int64_t end : message.range_ends()) {
    if (end < before) {
      return absl::InvalidArgumentError(
          absl::StrCat("held.range_ends must ascend from 0, but ", end, " follows ", before));
    }
    before = end;
  }
  RETURN_IF_ERROR(CheckCount("held.workers", message.workers_size(), kMostMembers));
  for (int i = 1; i < message.workers_size(); ++i) {
    if (message.workers(i) <= message.workers(i - 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat("held.workers must ascend, but ", message.workers(i), " follows ", message.workers(i - 1)));
    }
  }
  return absl::OkStatus();
}

// A process has applied all decisions that it knows, but for the last one at most; one that rebuilds its state may be
// any number of them behind.
absl::Status CheckState(const HeldState& held) {
  if (!held.last.has_value()) return absl::OkStatus();
  const uint64_t last = held.last->step;
  if (last >= held.state.step && (!held.whole || last - held.state.step <= 1)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("held.state is that after step ", held.state.step,
                                                 ", but held.last is the decision about step ", last));
}

}  // namespace

v1::Held ToProto(const HeldState& held) {
  v1::Held out;
  *out.mutable_view() = ToProto(held.view);
  out.mutable_range_ends()->Add(held.range_ends.begin(), held.range_ends.end());
  out.mutable_workers()->Add(held.workers.begin(), held.workers.end());
  *out.mutable_state() = ToProto(held.state);
  out.set_whole(held.whole);
  out.set_voted_step(held.voted_step);
  if (held.last.has_value()) *out.mutable_last() = ToProto(*held.last);
  *out.mutable_counters() = ToProto(held.counters);
  if (held.log_base.has_value()) *out.mutable_log_base() = ToProto(*held.log_base);
  return out;
}

absl::StatusOr<HeldState> FromProto(const v1::Held& message) {
  if (!message.has_view()) return Missing("held.view");
  RETURN_IF_ERROR(CheckMembers(message));
  HeldState held{.view = FromProto(message.view()),
                 .range_ends = {message.range_ends().begin(), message.range_ends().end()},
                 .workers = {message.workers().begin(), message.workers().end()},
                 .state = FromProto(message.state()),
                 .whole = message.whole(),
                 .voted_step = message.voted_step()};
  if (message.has_last()) {
    ASSIGN_OR_RETURN(held.last, FromProto(message.last()));
  }
  RETURN_IF_ERROR(CheckState(held));
  ASSIGN_OR_RETURN(held.counters, FromProto(message.counters()));
  if (message.has_log_base()) held.log_base = FromProto(message.log_base());
  return held;
}

v1::Register ToProto(const Registration& registration) {
  v1::Register out;
  out.set_role(registration.role == Role::kShard ? v1::ROLE_SHARD : v1::ROLE_WORKER);
  out.set_address(registration.address);
  out.set_host(registration.host);
  out.set_pid(registration.pid);
  out.set_capacity_bytes(registration.capacity_bytes);
  if (registration.device_request.has_value()) {
    *out.mutable_device_request() = ToDeviceRequest(*registration.device_request);
  }
  if (registration.held.has_value()) *out.mutable_held() = ToProto(*registration.held);
  out.set_id(registration.id);
  out.set_token(registration.token);
  out.set_spare(registration.spare);
  return out;
}

absl::StatusOr<Registration> FromProto(const v1::Register& message) {
  if (message.role() != v1::ROLE_SHARD && message.role() != v1::ROLE_WORKER) {
    return absl::InvalidArgumentError(
        absl::StrCat("register.role is ", static_cast<int>(message.role()), "; it must be ROLE_SHARD or ROLE_WORKER"));
  }
  RETURN_IF_ERROR(CheckName("register.address", message.address()));
  RETURN_IF_ERROR(CheckName("register.host", message.host()));
  RETURN_IF_ERROR(CheckName("register.token", message.token()));
  Registration registration{.role = message.role() == v1::ROLE_SHARD ? Role::kShard : Role::kWorker,
                            .address = message.address(),
                            .host = message.host(),
                            .pid = message.pid(),
                            .capacity_bytes = message.capacity_bytes(),
                            .id = message.id(),
                            .token = message.token(),
                            .spare = message.spare()};
  if (message.has_device_request()) {
    ASSIGN_OR_RETURN(registration.device_request, FromDeviceRequest(message.device_request()));
  }
  if (message.has_held()) {
    ASSIGN_OR_RETURN(registration.held, FromProto(message.held()));
  }
  return registration;
}

}  // namespace arcshard
