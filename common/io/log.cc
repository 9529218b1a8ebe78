#include "common/io/log.h"

#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/mutex.h"
#include "common/io/printable_text.h"

namespace arcshard {
namespace {

struct ProcessName {
  Mutex mutex;
  std::string name ABSL_GUARDED_BY(mutex);
};

// Never destroyed: threads may log while the process exits.
ProcessName& TheProcessName() {
  static ProcessName* const name = new ProcessName;
  return *name;
}

void WriteLine(absl::string_view message) {
  std::string process;
  {
    ProcessName& name = TheProcessName();
    MutexLock lock(&name.mutex);
    process = name.name;
  }
  std::string line = FormatLogLine(absl::Now(), process, message);
  if (!ShowsUnicode(STDERR_FILENO)) line = PlainText(line);
  for (size_t done = 0; done < line.size();) {
    const ssize_t written = ::write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (written < 0 && errno != EINTR) return;  // there is no other place to report it
    if (written > 0) done += static_cast<size_t>(written);
  }
}

}  // namespace

void SetProcessName(absl::string_view name) {
  ProcessName& process = TheProcessName();
  MutexLock lock(&process.mutex);
  process.name = std::string(name);
}

void LogInfo(absl::string_view message) { WriteLine(message); }

void LogError(absl::string_view message) { WriteLine(absl::StrCat("error: ", message)); }

std::string FormatLogLine(absl::Time time, absl::string_view process, absl::string_view message) {
  return absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%E3S ", time, absl::LocalTimeZone()), process,
                      process.empty() ? "" : ": ", PrintableLine(message), "\n");
}

}  // namespace arcshard
