#pragma once

#include <cstddef>
#include <filesystem>
#include <ostream>
#include <string>
#include <system_error>
#include <thread>

#include "absl/time/time.h"
#include "common/base/clock.h"

namespace arcshard {

// What this process has open: it must not grow with the number of connections that it has had.
struct OpenResources {
  std::ptrdiff_t descriptors = 0;
  std::ptrdiff_t threads = 0;

  static OpenResources Now() { return {EntriesOf("/proc/self/fd"), EntriesOf("/proc/self/task")}; }

  friend std::ostream& operator<<(std::ostream& out, const OpenResources& open) {
    return out << open.descriptors << " descriptors, " << open.threads << " threads";
  }

 private:
  static std::ptrdiff_t EntriesOf(const std::string& folder) {
    std::error_code error;  // an entry may go while they are counted
    std::ptrdiff_t count = 0;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) ++count;
    return count;
  }
};

// Waits until this process has at most `more` descriptors and threads more than `before`: gRPC closes a connection some
// time after its channel was destroyed. False: it has not come to that within two minutes.
inline bool LevelsOff(const OpenResources& before, std::ptrdiff_t more) {
  const SystemClock clock;
  for (const MonotonicTime end = clock.Now() + absl::Minutes(2); clock.Now() < end; std::this_thread::yield()) {
    const OpenResources now = OpenResources::Now();
    if (now.descriptors <= before.descriptors + more && now.threads <= before.threads + more) return true;
  }
  return false;
}

}  // namespace arcshard
