#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cli/train/process.h"
#include "cli/train/watch_client.h"
#include "common/io/file.h"
#include "gtest/gtest.h"

// arcshard's programs as real processes, each test in a folder of its own. Nothing here sleeps: what a process prints,
// its end and the coordinator's Watch are waited for.
namespace arcshard {

// A program whose output (stdout and stderr) can be read as it comes.
class Program {
 public:
  // program: "arcshard-shard". `folder`: where its pipe is made.
  Program(const std::string& program, const std::vector<std::string>& arguments, const std::string& folder,
          int inherit_fd = -1);

  pid_t pid() const { return process_->pid(); }
  void Signal(int signal) { process_->Signal(signal); }

  // Waits for a line that contains `text` and returns it. Fails the test if the output ends before.
  std::string AwaitLine(const std::string& text);
  // Waits for its end.
  cli::ProcessExit AwaitEnd();
  // All that it has printed; complete after AwaitEnd.
  const std::string& output() const { return output_; }

 private:
  // Reads until the next line is complete; false at the end.
  bool ReadLine(std::string* line);

  std::string pipe_path_;
  FileDescriptor from_;
  std::unique_ptr<cli::Process> process_;
  std::string output_;
  size_t taken_ = 0;  // of output_, as lines
};

class ProcessTestBase : public ::testing::Test {
 protected:
  ProcessTestBase();
  ~ProcessTestBase() override;

  const std::string& folder() const { return folder_; }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const;

  Program Start(const std::string& program, const std::vector<std::string>& arguments, int inherit_fd = -1) const {
    return Program(program, arguments, folder_, inherit_fd);
  }

  // Expects the program to end with `status` after one line that reports an error, and returns the error.
  std::string ErrorOf(const std::string& program, const std::vector<std::string>& arguments, int status) const;

  // A run.yaml of a small network on Omniglot that trains for an hour, two shards and two workers unless `overrides`
  // say otherwise. What it leaves behind goes to run/.
  std::vector<std::string> SmallRun(const std::vector<std::string>& overrides = {}) const;

 private:
  std::string folder_;
};

void AwaitReadable(int fd);

// A TCP socket that listens on a free port of 127.0.0.1, or that merely found one.
class LocalPort {
 public:
  LocalPort();
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  void Close() { socket_ = FileDescriptor(); }

 private:
  FileDescriptor socket_;
  int port_ = 0;
};

// Whether somebody listens on host:port.
bool Answers(const std::string& address);

// processes.json of a run.
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

// A run of arcshard train that has begun.
struct Training {
  Program launcher;
  Listing listing;
  std::unique_ptr<cli::WatchClient> watch;
};

// Takes reports until one of them is `wanted`, and returns that. Fails the test, with the last report that came, when
// the run ends before, or its coordinator has gone: a process that crashes fails the test at once.
template <typename Wanted>
v1::Progress AwaitReport(cli::WatchClient* watch, const Wanted& wanted) {
  v1::Progress last;
  while (true) {
    const std::vector<v1::Progress> reports = watch->Take();
    for (const v1::Progress& report : reports) {
      if (wanted(report)) return report;
      last = report;
    }
    if (!reports.empty()) continue;
    if (watch->ended()) {
      ADD_FAILURE() << "the run has ended after step " << last.step() << ": " << last.waiting_for();
      return last;
    }
    AwaitReadable(watch->fd());
  }
}

// Waits until a process, which need not be a child, has ended.
void AwaitDeath(pid_t pid);

// Of which steps there is a complete checkpoint, newest first.
std::vector<uint64_t> CheckpointSteps(const std::string& run_folder);

// What the coordinator of a run answers to GET /metrics, head and body.
std::string ScrapeCoordinator(const Listing& run);

// Waits until the run has decided `steps` more steps than when it was asked first. Fails the test when it ends before.
void AwaitSteps(cli::WatchClient* watch, uint64_t steps);

}  // namespace arcshard
