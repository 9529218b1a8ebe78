#include "cli/supervision/log_tail.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"

namespace arcshard::cli {
namespace {

constexpr absl::string_view kMark = "error: ";
constexpr uint64_t kTailBytes = 64 << 10;

// Begin and end of the line between two lives.
constexpr absl::string_view kLifeBegins = "---- ", kLifeHasBegun = " another life of this process begins ----";

bool BeginsALife(absl::string_view line) {
  return absl::StartsWith(line, kLifeBegins) && absl::EndsWith(line, kLifeHasBegun);
}

// The text after the mark, if the line or its message begins with the mark. Empty: the line reports no error.
absl::string_view ErrorIn(absl::string_view line) {
  if (absl::StartsWith(line, kMark)) return line.substr(kMark.size());
  const size_t at = line.find(std::string(": ").append(kMark.data(), kMark.size()));
  return at == absl::string_view::npos ? absl::string_view() : line.substr(at + 2 + kMark.size());
}

}  // namespace

absl::StatusOr<FileDescriptor> OpenLog(const std::string& path, absl::Time now, absl::string_view why) {
  ASSIGN_OR_RETURN(FileDescriptor log, OpenToAppend(path));
  if (lseek(log.get(), 0, SEEK_END) <= 0) return log;
  const std::string line =
      absl::StrCat("\n", kLifeBegins, absl::FormatTime("%Y-%m-%d %H:%M:%E3S", now, absl::LocalTimeZone()),
                   why.empty() ? "" : absl::StrCat(" ", why, ";"), kLifeHasBegun, "\n");
  if (write(log.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    return ErrnoStatus(errno, path, "cannot write");
  }
  return log;
}

std::string LastError(absl::string_view log) {
  absl::string_view last_error, last_line;
  for (const absl::string_view raw : absl::StrSplit(log, '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (BeginsALife(line)) last_error = last_line = "";
    if (line.empty() || BeginsALife(line)) continue;
    last_line = line;
    if (const absl::string_view error = ErrorIn(line); !error.empty()) last_error = error;
  }
  return std::string(last_error.empty() ? last_line : last_error);
}

std::string LastErrorOfFile(const std::string& path) {
  const auto file = ReadableFile::Open(path);
  if (!file.ok()) return "";
  const uint64_t size = std::min(file->size(), kTailBytes);
  std::string tail(size, '\0');
  const absl::Span<std::byte> bytes(reinterpret_cast<std::byte*>(tail.data()), tail.size());
  return file->ReadAt(file->size() - size, bytes).ok() ? LastError(tail) : "";
}

}  // namespace arcshard::cli
