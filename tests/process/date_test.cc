// Somebody sets the machine's date while a run goes on: NTP, an operator, a virtual machine that is resumed.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

// Debian's faketime, which scripts/setup installs; empty: it is not there.
std::string FakeTimeLibrary() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/usr/lib", error)) {
    std::filesystem::path library = entry.path() / "faketime" / "libfaketimeMT.so.1";
    if (std::filesystem::exists(library, error)) return library.string();
  }
  return "";
}

class DateTest : public ProcessTestBase {
 protected:
  void SetUp() override {
    library_ = FakeTimeLibrary();
    ASSERT_NE(library_, "") << "libfaketimeMT.so.1 is missing: run scripts/setup";
    SetDate("+0");
  }

  // Starts a run all of whose processes see the date of SetDate; others of this test see the machine's.
  Program StartTraining() {
    setenv("LD_PRELOAD", library_.c_str(), 1);
    setenv("FAKETIME_TIMESTAMP_FILE", Path("date").c_str(), 1);
    setenv("FAKETIME_NO_CACHE", "1", 1);
    setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1", 1);
    Program run = Start("arcshard", SmallRun({"cluster.heartbeat_interval=250ms", "cluster.heartbeat_timeout=60s"}));
    for (const char* name :
         {"LD_PRELOAD", "FAKETIME_TIMESTAMP_FILE", "FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC"}) {
      unsetenv(name);
    }
    run.AwaitLine("  step ");
    auto watch = cli::WatchClient::Start(Listing::Of(Path("run")).coordinator);
    EXPECT_TRUE(watch.ok()) << watch.status();
    watch_ = *std::move(watch);
    return run;
  }

  // offset: "+3600", seconds from the machine's date.
  void SetDate(const std::string& offset) const { ASSERT_TRUE(WriteFileAtomically(Path("date"), offset + "\n").ok()); }

  // Waits until `more` further steps are decided: long enough for several heartbeats.
  v1::Progress AwaitMoreSteps(uint64_t more) {
    const uint64_t begin = AwaitReport(watch_.get(), [](const v1::Progress&) { return true; }).step();
    return AwaitReport(watch_.get(), [&](const v1::Progress& report) { return report.step() >= begin + more; });
  }

  std::string library_;
  std::unique_ptr<cli::WatchClient> watch_;
};

TEST_F(DateTest, ADateThatIsSetBackAndForthDisturbsNoRun) {
  Program run = StartTraining();
  AwaitMoreSteps(5);
  for (const char* offset : {"-1", "+1", "-2", "+3600", "+0", "+315360000", "-1"}) {
    SCOPED_TRACE(offset);
    SetDate(offset);
    const v1::Progress progress = AwaitMoreSteps(10);
    if (HasFailure()) break;
    EXPECT_GT(progress.samples_per_second(), 0.0);
    EXPECT_GE(progress.eta_seconds(), 0.0);
    EXPECT_LT(progress.eta_seconds(), 1e8) << "it trains for an hour or so";
  }
  run.Signal(SIGINT);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  EXPECT_THAT(run.output(), Not(AnyOf(HasSubstr("ETA -"), HasSubstr("nan"), HasSubstr(" inf"))));
}

}  // namespace
}  // namespace arcshard
