#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/monotonic_time.h"
#include "common/io/file_system.h"

namespace arcshard {

// What a span is about, as far as it is known.
struct SpanDetails {
  static constexpr uint64_t kUnknown = ~uint64_t{0};
  uint64_t step = kUnknown;
  uint64_t micro_batch = kUnknown;
  uint64_t bytes = kUnknown;
};

// Something that a process did, or waited for.
struct Span {
  absl::string_view name;  // a literal
  uint32_t row = 0;
  MonotonicTime begin, end;
  SpanDetails details;
};

// A file of Chrome's trace events: a JSON array with one event a line, which a viewer also reads without its end. The
// process's number in it is made of its real one and its host's name, since containers all have a process 1. Not
// thread-safe.
class TraceFile {
 public:
  // path, with %p: as Tracer::Options has them. Errors of the file system.
  static absl::StatusOr<TraceFile> Create(const std::string& path, FileSystem* files);

  // The lines of events. place: in the order of the processes.
  std::string ProcessName(absl::string_view name, int place) const;
  std::string RowName(uint32_t row, absl::string_view name) const;
  std::string LineOf(const Span& span) const;

  // Appends whole lines.
  absl::Status Append(absl::string_view lines);
  // Appends the last event, which says what the process is and how many spans are missing, and closes the file.
  absl::Status Close(uint64_t missing);

  const std::string& path() const { return path_; }
  uint64_t bytes() const { return bytes_; }

 private:
  TraceFile(std::string path, std::unique_ptr<WritableFile> file);

  std::string path_;
  std::unique_ptr<WritableFile> file_;
  uint64_t process_;  // in the trace
  uint64_t bytes_ = 0;
};

}  // namespace arcshard
