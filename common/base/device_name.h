#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard {

// The device a process computes on, as given by its --device option: the CPU, or one of this machine's GPUs.
struct DeviceName {
  bool cuda = false;
  int index = 0;     // the GPU's number
  bool any = false;  // any GPU that is available; `index` is 0

  friend bool operator==(const DeviceName&, const DeviceName&) = default;
};

// Parses "cpu", "cuda" (any GPU: a shard leases one from the coordinator, other processes take the first) or "cuda:N".
// InvalidArgument: the text is something else; the message lists what is allowed.
absl::StatusOr<DeviceName> ParseDeviceName(absl::string_view text);

// "cpu" or "cuda:N".
std::string ToString(const DeviceName& device);

}  // namespace arcshard
