#include "cli/report/report.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/report/report_page.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"

namespace arcshard::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kFigures = 8;
constexpr char kHostile[] = "<script>alert(1)</script>'\\\"&";  // as JSON writes it

class ReportTest : public ::testing::Test {
 protected:
  ReportTest() : folder_(absl::StrCat(::testing::TempDir(), "/report_test.", getpid())) {
    std::filesystem::remove_all(folder_);
    EXPECT_TRUE(CreateFolders(folder_).ok());
  }
  ~ReportTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }
  void Write(const std::string& name, absl::string_view text) const {
    ASSERT_TRUE(WriteFileAtomically(Path(name), text).ok());
  }
  std::string Read(const std::string& name) const { return ReadFile(Path(name)).value_or(""); }

  // Checks the page with Python's parsers.
  static void Check(const std::string& page, const std::vector<std::string>& texts = {}) {
    const std::string python = ARCSHARD_SOURCE_DIR "/.deps/python/bin/python";
    ASSERT_TRUE(std::filesystem::exists(python)) << python << " is missing: run scripts/setup";
    std::string command = absl::StrCat("'", python, "' '", ARCSHARD_SOURCE_DIR, "/tests/reference/check_report.py' '",
                                       page, "' ", kFigures);
    for (const std::string& text : texts) absl::StrAppend(&command, " '", text, "'");
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
  }

  // The lines of a run with two shards, two workers and `steps` steps. name: used for all names.
  static std::string Lines(int steps, const std::string& name) {
    std::string lines = absl::StrFormat(
        R"({"kind":"run","time":1700000000,"version":"%s","config":"%s","incarnation":1,"host":"%s"})"
        "\n"
        R"({"kind":"view","time":1700000001,"view":[1,1],"num_classes":9,"steps":%d,"members":[)"
        R"({"role":"shard","id":0,"host":"%s","pid":3,"address":"h:1","range":[0,5],"capacity_bytes":100},)"
        R"({"role":"shard","id":1,"host":"%s","pid":4,"address":"h:2","range":[5,9],"capacity_bytes":100},)"
        R"({"role":"%s","id":0,"host":"h","pid":5,"address":"%s"}]})"
        "\n",
        name, name, name, steps, name, name, name, name);
    for (int step = 1; step <= steps; ++step) {
      absl::StrAppendFormat(
          &lines,
          R"({"kind":"step","time":%d,"step":%d,"steps":%d,"epoch":0.5,"loss":%s,"target_cosine":0.25,"lr":0.1,)"
          R"("samples_per_second":1500,"phases":{"worker":{"forward":0.02,"%s":0.01},"shard":{"pass_1":0.03}},)"
          R"("resident_bytes":{"worker":100000000,"shard":200000000}})"
          "\n",
          1700000001 + step, step, steps, step % 5 == 3 ? "null" : absl::StrCat(20.0 / step), name);
    }
    absl::StrAppendFormat(&lines,
                          R"({"kind":"verification","time":1700000900,"step":%d,"sets":[{"name":"%s","accuracy":0.875,)"
                          R"("std":0.01,"pairs":6000,"accept_rates":[{"far":0.001,"tar":0.5}]}]})"
                          "\n",
                          steps, name);
    return lines;
  }

  const std::string folder_;
};

TEST_F(ReportTest, AFinishedRunIsOneWellFormedPageWithItsFigures) {
  Write("metrics.jsonl", absl::StrCat(Lines(1000, "omniglot"),
                                      R"({"kind":"end","time":1700001000,"outcome":"finished","step":1000})", "\n"));
  Write("config.yaml", "head:\n  classes: 9  # N & more\n");
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  Check(Path("report.html"),
        {"finished", "0.8750 ± 0.0100", "0.5000 at 1e-3", "[5, 9)", "16m41s", "1000", "classes: 9", "# N & more"});
  const std::string page = Read("report.html");
  EXPECT_THAT(page, HasSubstr("<span class=\"changed\">  classes: 9</span>"));
  EXPECT_THAT(page, Not(HasSubstr("nothing was measured yet")));
  EXPECT_LT(page.size(), 1'500'000u);
}

TEST_F(ReportTest, NamesOfARunAreTextWhateverTheyAre) {
  std::string failed =
      absl::StrCat(R"({"kind":"end","time":1700001000,"outcome":")", kHostile, R"(","sentence":")", kHostile, "\"}\n");
  Write("metrics.jsonl", absl::StrCat(Lines(10, kHostile), failed, Lines(10, kHostile)));
  Write("config.yaml", "</pre><script>alert(2)</script>\n\xff\x01: \"]]>\"\n");
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  Check(Path("report.html"), {"<script>alert(1)</script>", "</pre><script>alert(2)</script>"});
}

TEST_F(ReportTest, ARunInProgressHasAPageFromItsFirstLineOn) {
  const std::string all = Lines(3, "a");
  Write("config.yaml", "");
  for (size_t end = all.find('\n'); end != std::string::npos; end = all.find('\n', end + 1)) {
    Write("metrics.jsonl", all.substr(0, end + 1));
    ASSERT_TRUE(WriteReport({.run_folder = folder_, .output = Path("now.html")}).ok());
    Check(Path("now.html"), {"in progress"});
  }
  Write("metrics.jsonl", "");
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  Check(Path("report.html"));
}

TEST_F(ReportTest, DamagedLinesAreNamedInThePageAndOnStderr) {
  Write("metrics.jsonl", absl::StrCat(Lines(3, "a"), "{\"kind\n", Lines(4, "a")));
  ::testing::internal::CaptureStderr();
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  EXPECT_THAT(::testing::internal::GetCapturedStderr(),
              HasSubstr("metrics.jsonl is damaged and is skipped, line 7: it is not a JSON object\n"));
  Check(Path("report.html"), {"line 7: it is not a JSON object"});
}

TEST_F(ReportTest, ARunOfTwoLivesHasTheTimeOfBothAndItsSentencesWhole) {
  const std::string sentence(300, 'x');
  std::string second = Lines(20, "a");
  second.insert(second.find("\"version\""), "\"resumed_step\":10,");
  Write("metrics.jsonl",
        absl::StrCat(Lines(10, "a"), R"({"kind":"end","time":1700001000,"outcome":"failed","sentence":")", sentence,
                     "\"}\n", second));
  Write("config.yaml", "");
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  Check(Path("report.html"), {sentence, "31m40s", "2 starts"});  // 1000 s and 900 s
  EXPECT_THAT(Read("report.html"), HasSubstr(absl::StrCat("<div class=\"sentence\">", sentence, "</div>")));
}

TEST_F(ReportTest, RecoveriesAreATableAndATile) {
  const auto recovery = [](const std::string& lost, int lost_steps) {
    return absl::StrCat(R"({"kind":"recovery","time":1700000500,"step":20,"seconds":2.34,"replayed_steps":17,"lost":)",
                        lost, R"(,"lost_steps":)", lost_steps, R"(,"sentence":"so <it> was"})", "\n");
  };
  const std::string one = recovery(R"x([{"role":"shard","name":"shard 1 (pid 5 on h)"},{"name":"worker <0>"}])x", 0);
  Write("metrics.jsonl", absl::StrCat(Lines(20, "a"), one));
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  Check(Path("report.html"), {"Recoveries", "no step was lost", "shard 1 (pid 5 on h), worker <0>", "so <it> was",
                              "2.3 s", "replayed steps", "17"});
  Write("metrics.jsonl", absl::StrCat(Lines(20, "a"), one, recovery("[]", 3)));
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  Check(Path("report.html"), {"3 steps lost"});
}

TEST_F(ReportTest, ARunThatLostNothingHasNoTableOfRecoveries) {
  Write("metrics.jsonl", Lines(3, "a"));
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  EXPECT_THAT(Read("report.html"), Not(HasSubstr("Recoveries")));
}

TEST_F(ReportTest, StepsWithoutPhasesAreAGapAndUnknownMemoryIsNoZero) {
  std::string lines = Lines(4, "a");
  const size_t third = lines.find("\"step\":3,");
  const size_t phases = lines.find("\"phases\"", third), end = lines.find("\n", phases);
  lines.replace(phases, end - phases, R"("phases":{"worker":{},"shard":{}},"resident_bytes":{"worker":0,"shard":0}})");
  Write("metrics.jsonl", lines);
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  Check(Path("report.html"));
  const std::string page = Read("report.html");
  EXPECT_THAT(page, Not(HasSubstr("nan")));
  EXPECT_THAT(page, Not(HasSubstr("largest worker  0 MiB")));
  const size_t stack = page.find("Where a worker");
  const std::string area = page.substr(page.find("<path class=\"area s0\"", stack), 200);
  EXPECT_EQ(std::count(area.begin(), area.begin() + static_cast<ptrdiff_t>(area.find("/>")), 'M'), 2) << area;
}

TEST_F(ReportTest, AMissingConfigurationIsSaid) {
  Write("metrics.jsonl", Lines(3, "a"));
  ASSERT_TRUE(WriteReport({.run_folder = folder_}).ok());
  Check(Path("report.html"), {"config.yaml: cannot open for reading: No such file or directory"});
}

TEST_F(ReportTest, WhatIsMissingIsSaid) {
  EXPECT_EQ(WriteReport({.run_folder = Path("none")}).message(),
            absl::StrCat(Path("none"), ": there is no such run folder"));
  const absl::Status no_metrics = WriteReport({.run_folder = folder_});
  EXPECT_EQ(no_metrics.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(no_metrics.message()), HasSubstr("has no metrics.jsonl: no coordinator has run"));
}

TEST_F(ReportTest, OnlyAnEarlierPageIsReplaced) {
  Write("metrics.jsonl", Lines(3, "a"));
  Write("config.yaml", "run:");
  Write("mine.txt", "dear");
  for (const char* name : {"metrics.jsonl", "config.yaml", "mine.txt"}) {
    const std::string before = *ReadFile(Path(name));
    EXPECT_THAT(std::string(WriteReport({.run_folder = folder_, .output = Path(name)}).message()),
                HasSubstr("it is not replaced"))
        << name;
    EXPECT_EQ(*ReadFile(Path(name)), before) << name;
  }
}

TEST_F(ReportTest, WhereItCannotBeWrittenAnEarlierPageStays) {
  Write("metrics.jsonl", Lines(3, "a"));
  EXPECT_FALSE(WriteReport({.run_folder = folder_, .output = Path("none/report.html")}).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("report.html")));
}

}  // namespace
}  // namespace arcshard::cli
