#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard {

// Where a process computes, as its --device option says it: the CPU, or one of this machine's GPUs.
struct DeviceName {
  bool cuda = false;
  int index = 0;     // of the GPU
  bool any = false;  // whichever GPU is to be had; `index` is 0

  friend bool operator==(const DeviceName&, const DeviceName&) = default;
};

// "cpu", "cuda" (any: a shard leases one from the coordinator, everybody else takes the first) or "cuda:N".
// InvalidArgument: anything else; says what may stand there.
absl::StatusOr<DeviceName> ParseDeviceName(absl::string_view text);

// "cpu" or "cuda:N".
std::string ToString(const DeviceName& device);

}  // namespace arcshard
