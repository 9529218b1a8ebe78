#include "cli/display/console.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "absl/status/status.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::HasSubstr;

constexpr char kHostile[] = "a\x1b[31m\nb\u009b31m\xff";
constexpr char kHarmless[] = "a\\x1b[31m b\\u009b31m\\xff";

// While it lives, `fd` leads to `to`.
class Redirected {
 public:
  Redirected(int fd, int to) : fd_(fd), before_(dup(fd)) { dup2(to, fd_); }
  ~Redirected() { dup2(before_.get(), fd_); }

 private:
  const int fd_;
  const FileDescriptor before_;
};

TEST(ConsoleTest, ErrorsAndNotesAreOneLineThatCommandsNoTerminal) {
  ::testing::internal::CaptureStderr();
  PrintError(kHostile);
  PrintNote(kHostile);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            std::string("arcshard: error: ") + kHarmless + "\narcshard: " + kHarmless + "\n");
}

TEST(ConsoleTest, TextKeepsItsLinesAndDataAllItsBytes) {
  ::testing::internal::CaptureStdout();
  EXPECT_TRUE(PrintText("a\nb\x1b[1m\n").ok());
  EXPECT_TRUE(PrintData("c\x1b\xff\n").ok());
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "a\nb\\x1b[1m\nc\x1b\xff\n");
}

TEST(ConsoleTest, AFullDiskIsAnError) {
  const FileDescriptor full = OpenDescriptor("/dev/full", O_WRONLY);
  ASSERT_TRUE(full.valid());
  absl::Status status;
  {
    const Redirected redirected(STDOUT_FILENO, full.get());
    status = PrintText("x\n");
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("stdout: what was printed could not be written"));
}

// A terminal whose other end can be read.
class ConsoleOnATerminalTest : public ::testing::Test {
 protected:
  void SetUp() override {
    master_ = FileDescriptor(posix_openpt(O_RDWR | O_NOCTTY));
    if (!master_.valid() || grantpt(master_.get()) != 0 || unlockpt(master_.get()) != 0) {
      GTEST_SKIP() << "this machine has no terminals";
    }
    slave_ = OpenDescriptor(ptsname(master_.get()), O_RDWR | O_NOCTTY);
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    setenv("LC_ALL", "C.UTF-8", 1);
  }
  void TearDown() override { unsetenv("LC_ALL"); }

  std::string Printed(absl::Status (*print)(absl::string_view), absl::string_view text) const {
    {
      const Redirected redirected(STDOUT_FILENO, slave_.get());
      EXPECT_TRUE(print(text).ok());
    }
    char bytes[1000];
    return std::string(bytes, static_cast<size_t>(read(master_.get(), bytes, sizeof(bytes))));
  }

  FileDescriptor master_, slave_;
};

TEST_F(ConsoleOnATerminalTest, ShowsOurColoursAndNoOtherCodes) {
  EXPECT_EQ(Printed(PrintText, "\x1b[1mrun \x1b[31m\x1b[0m\n"), "\x1b[1mrun \\x1b[31m\x1b[0m\r\n");
  EXPECT_EQ(Printed(PrintData, "\x1b[2J\n"), "\\x1b[2J\r\n");
  setenv("TERM", "dumb", 1);
  EXPECT_EQ(Printed(PrintText, "\x1b[1mrun\x1b[0m\n"), "\\x1b[1mrun\\x1b[0m\r\n");
}

TEST_F(ConsoleOnATerminalTest, ShowsAsciiInALocaleWithoutUtf8) {
  EXPECT_EQ(Printed(PrintText, "3 × 4 ± 1\n"), "3 × 4 ± 1\r\n");
  setenv("LC_ALL", "C", 1);
  EXPECT_EQ(Printed(PrintText, "3 × 4 ± 1\n"), "3 x 4 +- 1\r\n");
  EXPECT_EQ(Printed(PrintRaw, "\r━━╸── 50%\x1b[K\n"), "\r==>-- 50%\x1b[K\r\n");
}

}  // namespace
}  // namespace arcshard::cli
