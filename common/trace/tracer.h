#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/io/file_system.h"
#include "common/trace/trace_file.h"

namespace arcshard {

// The trace of one process: what each of its threads did when, as a file of Chrome's trace events, which Perfetto
// (ui.perfetto.dev) shows. All processes of a machine have the same clock, CLOCK_MONOTONIC; the clocks of several
// machines differ, and nothing corrects that.
//
// Spans are kept in memory, a bounded number of them, and a thread writes them once a second, so that little is lost
// with a process that dies. What a slow disk leaves no room for is dropped and counted in the file's last line. A disk
// that fails ends the trace with one line in the log, and nothing else. Thread-safe.
class Tracer {
 public:
  struct Options {
    std::string path;     // an existing file is replaced; %p in it: the number of this process
    std::string process;  // what this process is called until NameProcess is called
    const Clock* clock = nullptr;
    FileSystem* files = RealFileSystem();
    size_t most_waiting = 16384;                // spans in memory that are not written yet
    uint64_t most_bytes = uint64_t{256} << 20;  // of the file; then the trace ends with a line in the log
    absl::Duration flush_every = absl::Seconds(1);
  };

  // Null: the path is empty, or the file cannot be made, which is logged; the process goes on without a trace. What
  // `options` points to outlives the tracer.
  static std::unique_ptr<Tracer> Start(const Options& options);
  ~Tracer();  // writes the rest

  // place: in the order of the processes that a viewer shows.
  void NameProcess(const std::string& name, int place);
  uint32_t RowOf(const std::string& name);  // see TraceRow
  void Add(const Span& span);
  MonotonicTime Now() const { return options_.clock->Now(); }

 private:
  // What is written at once.
  struct Batch {
    std::vector<std::string> lines;  // names of processes and rows
    std::vector<Span> spans;
  };

  Tracer(const Options& options, TraceFile file);
  // Waits for what is to be written. False: this is being destroyed, and `batch` is the rest.
  bool AwaitBatch(Batch* batch);
  void Write(const Batch& batch);
  void WriteEnd();

  const Options options_;
  TraceFile file_;            // appended to only by the thread
  bool disk_failed_ = false;  // only the thread uses it

  Mutex mutex_;
  CondVar wake_;
  Batch waiting_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, uint32_t> rows_ ABSL_GUARDED_BY(mutex_);
  bool named_ ABSL_GUARDED_BY(mutex_) = false;
  bool ends_ ABSL_GUARDED_BY(mutex_) = false;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;  // nothing is taken any more
  uint64_t dropped_ ABSL_GUARDED_BY(mutex_) = 0;

  std::thread thread_;  // last, since it uses the members above
};

}  // namespace arcshard
