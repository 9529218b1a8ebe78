#include "cli/display/terminal.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmath>

#include "common/io/file.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

TEST(TerminalTest, ColoursAreForTerminalsWhoseReaderWantsThem) {
  const FileDescriptor master(posix_openpt(O_RDWR | O_NOCTTY));
  ASSERT_TRUE(master.valid() && grantpt(master.get()) == 0 && unlockpt(master.get()) == 0);
  char name[64];
  ASSERT_EQ(ptsname_r(master.get(), name, sizeof(name)), 0);
  const FileDescriptor terminal(open(name, O_RDWR | O_NOCTTY));
  const FileDescriptor file(open("/dev/null", O_WRONLY));
  unsetenv("NO_COLOR");
  setenv("TERM", "xterm", 1);
  EXPECT_TRUE(HasColours(terminal.get()));
  EXPECT_FALSE(HasColours(file.get()));
  for (const char* dumb : {"dumb", "unknown", ""}) {
    setenv("TERM", dumb, 1);
    EXPECT_FALSE(HasColours(terminal.get())) << dumb;
    EXPECT_FALSE(ObeysEscapes(terminal.get())) << dumb;
  }
  unsetenv("TERM");
  EXPECT_FALSE(ObeysEscapes(terminal.get()));
  setenv("TERM", "xterm", 1);
  EXPECT_TRUE(ObeysEscapes(terminal.get()));
  EXPECT_FALSE(ObeysEscapes(file.get()));
  setenv("NO_COLOR", "1", 1);
  EXPECT_FALSE(HasColours(terminal.get()));
  EXPECT_TRUE(ObeysEscapes(terminal.get()));
  setenv("NO_COLOR", "", 1);
  EXPECT_TRUE(HasColours(terminal.get()));
  EXPECT_EQ(TerminalWidth(file.get()), 80u);
  EXPECT_EQ(TerminalHeight(file.get()), 24u);
}

TEST(TerminalTest, InkIsPutAroundTextOnlyWhereThereAreColours) {
  EXPECT_EQ(Paint(true, Ink::kBad, "error:"), "\x1b[1;31merror:\x1b[0m");
  EXPECT_EQ(Paint(false, Ink::kBad, "error:"), "error:");
  EXPECT_EQ(Paint(true, Ink::kBad, ""), "");
}

TEST(TerminalTest, OnlyPaintsCodesAreKeptInPrintableText) {
  const std::string painted = Paint(true, Ink::kGood, "a\x1b[31m\nb");
  EXPECT_EQ(PrintablePaintedLine(true, painted), "\x1b[32ma\\x1b[31m b\x1b[0m");
  EXPECT_EQ(PrintablePainted(true, painted), "\x1b[32ma\\x1b[31m\nb\x1b[0m");
  EXPECT_EQ(PrintablePainted(false, painted), "\\x1b[32ma\\x1b[31m\nb\\x1b[0m");
  EXPECT_EQ(PrintablePainted(true, ""), "");
}

TEST(TerminalTest, ColumnsAreCharacters) {
  EXPECT_EQ(Columns("a±━b"), 4u);
  EXPECT_EQ(CutTo("a±━b", 3), "a±━");
  EXPECT_EQ(CutTo("a±━b", 0), "");
  EXPECT_EQ(CutTo("a±━b", 9), "a±━b");
}

TEST(TerminalTest, ASentenceIsWrappedBetweenWordsAndNothingIsLost) {
  EXPECT_EQ(Wrap("worker 1 died", 80), "worker 1 died");
  EXPECT_EQ(Wrap("worker 1 died", 8), "worker 1\ndied");
  EXPECT_EQ(Wrap("worker 1 died", 7), "worker\n1 died");
  EXPECT_EQ(Wrap("/a/long/path ±b", 5), "/a/lo\nng/pa\nth ±b");
  EXPECT_EQ(Wrap(" a b", 2), " a\nb");
  EXPECT_EQ(Wrap("ab", 1), "a\nb");
  EXPECT_EQ(Wrap("ab", 0), "");
  EXPECT_EQ(Wrap("", 5), "");
}

TEST(TerminalTest, ABarIsAsWideAsItIsTold) {
  EXPECT_EQ(Bar(0, 4, false), "────");
  EXPECT_EQ(Bar(0.5, 4, false), "━━──");
  EXPECT_EQ(Bar(0.625, 4, false), "━━╸─");
  EXPECT_EQ(Bar(1, 4, false), "━━━━");
  EXPECT_EQ(Bar(7, 4, false), "━━━━");
  EXPECT_EQ(Bar(std::nan(""), 4, false), "────");
  EXPECT_EQ(Bar(0.5, 4, true), "\x1b[36m━━\x1b[0m\x1b[2m──\x1b[0m");
}

}  // namespace
}  // namespace arcshard::cli
