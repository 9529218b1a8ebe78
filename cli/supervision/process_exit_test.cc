#include "cli/supervision/process_exit.h"

#include <csignal>

#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

// Linux encodes the code in the second byte, a signal in the low seven bits, and a core dump as 0x80.
TEST(ProcessExitTest, WaitStatusSaysCodeOrSignal) {
  EXPECT_EQ(FromWaitStatus(3 << 8), (ProcessExit{.code = 3}));
  EXPECT_EQ(FromWaitStatus(SIGKILL), (ProcessExit{.signal = SIGKILL}));
  EXPECT_EQ(FromWaitStatus(SIGSEGV | 0x80), (ProcessExit{.signal = SIGSEGV}));
  EXPECT_TRUE(FromWaitStatus(0).ok());
  EXPECT_FALSE(FromWaitStatus(SIGKILL).ok());
}

TEST(ProcessExitTest, ExitStatusFollowsTheShell) {
  EXPECT_EQ(ExitStatus({}), 0);
  EXPECT_EQ(ExitStatus({.code = 3}), 3);
  EXPECT_EQ(ExitStatus({.signal = SIGKILL}), 137);
}

TEST(ProcessExitTest, DescriptionNamesTheSignal) {
  EXPECT_EQ(Describe({.code = 3}), "ended with status 3");
  EXPECT_EQ(Describe({.signal = SIGKILL}), "was killed by signal 9 (SIGKILL)");
  EXPECT_EQ(Describe({.signal = 40}), "was killed by signal 40");
}

}  // namespace
}  // namespace arcshard::cli
