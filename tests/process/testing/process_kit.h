#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "cli/supervision/process.h"
#include "cli/train/watch_client.h"
#include "common/io/file.h"
#include "gtest/gtest.h"

// arcshard's programs as real processes, each test in a folder of its own. Nothing here sleeps: tests wait for what a
// process prints, for its end, and for the reports of the coordinator's Watch.
namespace arcshard {

// How long a test waits for what follows at once: far more than a busy machine needs, less than ctest gives a test.
inline constexpr absl::Duration kPatience = absl::Minutes(10);

// A program whose output (stdout and stderr) can be read while it runs.
class Program {
 public:
  // program: "arcshard-shard".
  Program(const std::string& program, const std::vector<std::string>& arguments, int inherit_fd = -1);

  pid_t pid() const { return process_->pid(); }
  void Signal(int signal) { process_->Signal(signal); }

  // Waits for a line that contains `text` and returns it. Fails the test if the output ends before that.
  std::string AwaitLine(const std::string& text);
  // Waits until the program has ended.
  cli::ProcessExit AwaitEnd();
  // Everything that it has printed; complete after AwaitEnd.
  const std::string& output() const { return output_; }

 private:
  // Reads until the next line is complete; false at the end.
  bool ReadLine(std::string* line);

  FileDescriptor from_;
  std::unique_ptr<cli::Process> process_;
  std::string output_;
  size_t taken_ = 0;  // bytes of output_ that ReadLine has returned
};

class ProcessTestBase : public ::testing::Test {
 protected:
  ProcessTestBase();
  ~ProcessTestBase() override;

  const std::string& folder() const { return folder_; }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const;

  Program Start(const std::string& program, const std::vector<std::string>& arguments, int inherit_fd = -1) const {
    return Program(program, arguments, inherit_fd);
  }

  // Expects the program to end with `status` after one line that reports an error, and returns the error.
  std::string ErrorOf(const std::string& program, const std::vector<std::string>& arguments, int status) const;

  // Writes a run.yaml with a small network on Omniglot that trains for an hour in the folder run/, with two shards and
  // two workers. Returns the arguments of arcshard that train it with `overrides`.
  std::vector<std::string> SmallRun(const std::vector<std::string>& overrides = {}) const;

 private:
  std::string folder_;
};

// Waits until `fd` is readable.
void AwaitReadable(int fd);

// Waits until a file, which exists, has `text`.
void AwaitText(const std::string& path, const std::string& text);

// A TCP socket that listens on a free port of 127.0.0.1 until Close.
class LocalPort {
 public:
  LocalPort();
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void Close() { socket_ = FileDescriptor(); }

 private:
  FileDescriptor socket_;
  int port_ = 0;
};

// Whether a process listens on host:port.
bool Answers(const std::string& address);

// The contents of a run's processes.json.
struct Listing {
  struct Entry {
    std::string role;
    uint32_t index;
    pid_t pid;
    std::string log;
  };
  static Listing Of(const std::string& run_folder);
  const Entry& Find(const std::string& role, uint32_t index) const;

  std::string coordinator;  // host:port
  std::vector<Entry> processes;
};

// A run of arcshard train that is training.
struct Training {
  Program launcher;
  Listing listing;
  std::unique_ptr<cli::WatchClient> watch;
};

// Waits for reports and returns them. Empty: there will be no more, since the run or its coordinator has ended.
std::vector<v1::Progress> AwaitReports(cli::WatchClient* watch);

// Takes reports until `wanted` accepts one, and returns it. Fails the test, and returns the last report, if the run or
// its coordinator ends before that: a process that crashes fails the test at once.
template <typename Wanted>
v1::Progress AwaitReport(cli::WatchClient* watch, const Wanted& wanted) {
  v1::Progress last;
  while (true) {
    const std::vector<v1::Progress> reports = AwaitReports(watch);
    for (const v1::Progress& report : reports) {
      if (wanted(report)) return report;
      last = report;
    }
    if (reports.empty()) {
      ADD_FAILURE() << "the run has ended after step " << last.step() << ": " << last.waiting_for();
      return last;
    }
  }
}

// Waits until the reports have ended, as they do when the coordinator ends. Fails the test if they do not.
void AwaitEndOfReports(cli::WatchClient* watch);

// Waits until a process, which need not be a child, has ended. Fails the test if it does not.
void AwaitDeath(pid_t pid);

// The steps of the complete checkpoints, newest first.
std::vector<uint64_t> CheckpointSteps(const std::string& run_folder);

// The bytes of the files of the run's model, by name, without the view in which they were written.
std::map<std::string, std::string> ModelOf(const std::string& run_folder);
// Expects the same files with the same bytes.
void ExpectSameModel(const std::map<std::string, std::string>& model,
                     const std::map<std::string, std::string>& expected);

// A seed for what a test chooses at random: the value of ARCSHARD_TEST_SEED, or another one each time. It is printed,
// so that what a failure has shown can be chosen again.
uint32_t PrintedSeed();

// The coordinator's answer to GET /metrics, head and body.
std::string ScrapeCoordinator(const Listing& run);

// Waits until the run has decided `steps` steps more than at the first report taken here. Fails the test if the run
// ends before that.
void AwaitSteps(cli::WatchClient* watch, uint64_t steps);

}  // namespace arcshard
