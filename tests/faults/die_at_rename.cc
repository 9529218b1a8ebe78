// Preloaded into a process: it dies when it gives a file its final name.
//
//   ARCSHARD_DIE_AT_RENAME=before|after  when
//   ARCSHARD_DIE_AT_NAME=manifest.json      the end of the new name
//   ARCSHARD_DIE_AT_TIME=2                  of the renames to such a name, from 1
#include <dlfcn.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

std::atomic<int> renames = 0;

bool IsMeant(std::string_view to) {
  const char* const name = std::getenv("ARCSHARD_DIE_AT_NAME");
  const char* const time = std::getenv("ARCSHARD_DIE_AT_TIME");
  return name != nullptr && time != nullptr && to.ends_with(name) && ++renames == std::atoi(time);
}

}  // namespace

extern "C" int rename(const char* from, const char* to) noexcept {
  using Rename = int (*)(const char*, const char*);
  static const auto kRename = reinterpret_cast<Rename>(dlsym(RTLD_NEXT, "rename"));
  const bool dies = IsMeant(to);
  const char* const when = std::getenv("ARCSHARD_DIE_AT_RENAME");
  const bool before = when != nullptr && std::string_view(when) == "before";
  if (dies && before) kill(getpid(), SIGKILL);
  const int result = kRename(from, to);
  if (dies) kill(getpid(), SIGKILL);
  return result;
}
