#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "cli/supervision/process.h"
#include "common/io/file.h"
#include "gtest/gtest.h"

// Child processes that are shell scripts, and pipes by which they report their progress.
namespace arcshard::cli {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    from = FileDescriptor(ends[0]);
    to = FileDescriptor(ends[1]);
  }

  // Reads what the children write up to "\n", or until the last child that holds the other end has ended.
  std::string ReadLine() {
    to = FileDescriptor();
    std::string line;
    for (char c; read(from.get(), &c, 1) == 1 && c != '\n';) line.push_back(c);
    return line;
  }

  FileDescriptor from, to;
};

class ScriptTest : public ::testing::Test {
 protected:
  ScriptTest() : folder_(::testing::TempDir() + "script_test_XXXXXX") { EXPECT_NE(mkdtemp(folder_.data()), nullptr); }
  ~ScriptTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  // The script can use $FD, the number of `inherit_fd`.
  Process::Options Script(const std::string& script, int inherit_fd = -1, const std::string& log = "log") const {
    return {.program = "/bin/bash",
            .arguments = {"-c", script},
            .environment = {"FD=" + std::to_string(inherit_fd)},
            .log = Path(log),
            .inherit_fd = inherit_fd};
  }
  std::unique_ptr<Process> Start(const Process::Options& options) const {
    auto process = Process::Start(options);
    EXPECT_TRUE(process.ok()) << process.status();
    return *std::move(process);
  }
  std::string Log(const std::string& log = "log") const {
    auto text = ReadFile(Path(log));
    EXPECT_TRUE(text.ok()) << text.status();
    return *text;
  }

 private:
  std::string folder_;
};

// Blocks until the child has ended; its status can still be polled.
inline void AwaitExit(pid_t pid) {
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
}

constexpr char kForever[] = "exec tail -f /dev/null";

}  // namespace arcshard::cli
