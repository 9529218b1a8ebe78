#include "common/io/log.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/io/log_file.h"
#include "common/text/printable_text.h"

namespace arcshard {
namespace {

// The log's file, where the launcher has named it.
std::optional<LogFile> FileOfThisProcess() {
  const char* const path = std::getenv(std::string(kLogFileVariable).c_str());
  if (path == nullptr || *path == '\0') return std::nullopt;
  return LogFile(path, {STDERR_FILENO, STDOUT_FILENO});
}

struct ProcessLog {
  Mutex mutex;
  std::string name ABSL_GUARDED_BY(mutex);
  std::optional<LogFile> file ABSL_GUARDED_BY(mutex) = FileOfThisProcess();
};

// Never destroyed: threads may log while the process exits.
ProcessLog& TheLog() {
  static ProcessLog* const log = new ProcessLog;
  return *log;
}

void WriteLine(absl::string_view message) {
  std::string process;
  {
    ProcessLog& log = TheLog();
    MutexLock lock(&log.mutex);
    process = log.name;
    if (log.file.has_value()) log.file->MakeRoom();
  }
  std::string line = FormatLogLine(SystemClock().WallTime(), process, message);
  if (!ShowsUnicode(STDERR_FILENO)) line = PlainText(line);
  for (size_t done = 0; done < line.size();) {
    const ssize_t written = ::write(STDERR_FILENO, line.data() + done, line.size() - done);
    if (written < 0 && errno != EINTR) return;  // there is no other place to report it
    if (written > 0) done += static_cast<size_t>(written);
  }
}

}  // namespace

void SetProcessName(absl::string_view name) {
  ProcessLog& log = TheLog();
  MutexLock lock(&log.mutex);
  log.name = std::string(name);
}

void LogInfo(absl::string_view message) { WriteLine(message); }

void LogError(absl::string_view message) { WriteLine(absl::StrCat("error: ", message)); }

std::string FormatLogLine(absl::Time time, absl::string_view process, absl::string_view message) {
  return absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%E3S ", time, absl::LocalTimeZone()), process,
                      process.empty() ? "" : ": ", PrintableLine(message), "\n");
}

}  // namespace arcshard
