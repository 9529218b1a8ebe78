#pragma once

#include <cstdint>
#include <functional>

#include "absl/strings/string_view.h"

namespace arcshard::worker {

// Is told how far a long task is: what happens to the items ("checked"), how many are done, and how many there are. A
// task calls it for many of its items, from the thread that called the task.
using ProgressFunction = std::function<void(absl::string_view verb, int64_t done, int64_t all)>;

}  // namespace arcshard::worker
