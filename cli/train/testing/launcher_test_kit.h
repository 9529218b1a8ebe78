#pragma once

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "cli/train/process.h"
#include "common/io/file.h"
#include "gtest/gtest.h"

// Children that are shell scripts, and pipes to know where they are.
namespace arcshard::cli {

struct Pipe {
  Pipe() {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    from = FileDescriptor(ends[0]);
    to = FileDescriptor(ends[1]);
  }

  // What the children write, until "\n", or until the last of them that holds the other end is gone.
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
  ScriptTest() : folder_(::testing::TempDir() + "launcher_test_XXXXXX") { EXPECT_NE(mkdtemp(folder_.data()), nullptr); }
  ~ScriptTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  // In the script $FD is the number of `inherit_fd`.
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

// Blocks until the child has ended, and leaves its status to be polled.
inline void AwaitExit(pid_t pid) {
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
}

constexpr char kForever[] = "exec tail -f /dev/null";

}  // namespace arcshard::cli
