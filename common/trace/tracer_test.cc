#include "common/trace/tracer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "common/trace/trace_row.h"

namespace arcshard {
namespace {

using nlohmann::json;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kPath[] = "/t.json";

class TracerTest : public ::testing::Test {
 protected:
  Tracer::Options Options() {
    return {
        .path = kPath, .process = "arcshard-shard", .clock = &clock_, .files = &files_, .flush_every = absl::Hours(1)};
  }
  // The events of the file that a tracer has finished.
  std::vector<json> Events() const { return json::parse(files_.Contents(kPath)).get<std::vector<json>>(); }
  std::vector<json> Spans() const {
    std::vector<json> spans;
    for (const json& event : Events()) {
      if (event["ph"] == "X") spans.push_back(event);
    }
    return spans;
  }
  // The argument of the event of that name; null: there is none.
  json Named(const std::string& event_name) const {
    for (const json& event : Events()) {
      if (event["name"] == event_name) return event["args"];
    }
    return nullptr;
  }
  FakeClock clock_;
  MemoryFileSystem files_;
};

TEST_F(TracerTest, ASpanHasItsTimesAndWhatItIsAbout) {
  {
    const auto tracer = Tracer::Start(Options());
    const TraceRow row(tracer.get(), "executor");
    const MonotonicTime begin = clock_.Now();
    row.Add("pass_1", begin, begin + absl::Microseconds(1500), {.step = 7, .micro_batch = 2, .bytes = 4096});
    row.Add("pass_2", begin + absl::Microseconds(2000), begin + absl::Nanoseconds(2000500));
  }
  const std::vector<json> spans = Spans();
  ASSERT_EQ(spans.size(), 2u);
  EXPECT_EQ(spans[0]["name"], "pass_1");
  EXPECT_EQ(spans[0]["ts"], 1e9);  // of FakeClock, in µs
  EXPECT_EQ(spans[0]["dur"], 1500);
  EXPECT_EQ(spans[0]["args"], json({{"step", 7}, {"micro_batch", 2}, {"bytes", 4096}}));
  EXPECT_EQ(spans[1]["ts"].get<double>() - spans[0]["ts"].get<double>(), 2000);
  EXPECT_EQ(spans[1]["dur"], 0.5);
  EXPECT_EQ(spans[1]["args"], json::object());
  EXPECT_EQ(spans[0]["pid"], spans[1]["pid"]);
  EXPECT_EQ(spans[0]["pid"].get<uint64_t>() % 10'000'000, static_cast<uint64_t>(getpid()));
  EXPECT_LT(spans[0]["pid"].get<uint64_t>(), uint64_t{1} << 32);
}

TEST_F(TracerTest, ASpanWithinAnotherLiesWithinItsTimes) {
  {
    const auto tracer = Tracer::Start(Options());
    const TraceRow row(tracer.get(), "training loop");
    const TraceSpan outer(row, "outer");
    clock_.Advance(absl::Milliseconds(1));
    {
      const TraceSpan inner(row, "inner", {.step = 3});
      clock_.Advance(absl::Milliseconds(2));
    }
    clock_.Advance(absl::Milliseconds(4));
  }
  const std::vector<json> spans = Spans();
  ASSERT_EQ(spans.size(), 2u);
  const json &inner = spans[0], &outer = spans[1];
  EXPECT_EQ(inner["name"], "inner");
  EXPECT_EQ(inner["tid"], outer["tid"]);
  EXPECT_EQ(inner["dur"], 2000);
  EXPECT_EQ(outer["dur"], 7000);
  EXPECT_EQ(inner["ts"].get<double>() - outer["ts"].get<double>(), 1000);
}

TEST_F(TracerTest, ProcessesAndRowsHaveTheirNames) {
  {
    const auto tracer = Tracer::Start(Options());
    const TraceRow a(tracer.get(), "executor"), b(tracer.get(), "from worker \"0\""), again(tracer.get(), "executor");
    tracer->NameProcess("shard 1", 2);
    a.Add("x", clock_.Now(), clock_.Now());
    b.Add("y", clock_.Now(), clock_.Now());
    again.Add("z", clock_.Now(), clock_.Now());
  }
  EXPECT_EQ(Named("process_name"), json({{"name", "shard 1"}}));
  EXPECT_EQ(Named("process_sort_index"), json({{"sort_index", 2}}));
  std::map<int, std::string> rows;
  for (const json& event : Events()) {
    if (event["name"] == "thread_name") rows[event["tid"].get<int>()] = event["args"]["name"].get<std::string>();
  }
  const std::vector<json> spans = Spans();
  ASSERT_EQ(spans.size(), 3u);
  EXPECT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[spans[0]["tid"].get<int>()], "executor");
  EXPECT_EQ(rows[spans[1]["tid"].get<int>()], "from worker \"0\"");
  EXPECT_EQ(rows[spans[2]["tid"].get<int>()], "executor");
}

TEST_F(TracerTest, AProcessThatNeverGetsANumberHasTheNameOfItsProgram) {
  Tracer::Start(Options()).reset();
  EXPECT_EQ(Named("process_name"), json({{"name", "arcshard-shard"}}));
}

TEST_F(TracerTest, WhatIsOldEnoughIsInTheFileBeforeTheEndWhichAViewerDoesNotNeed) {
  const auto tracer = Tracer::Start(Options());
  TraceRow(tracer.get(), "executor").Add("pass_1", clock_.Now(), clock_.Now());
  while (files_.Contents(kPath).find("pass_1") == std::string::npos) {
    clock_.Advance(absl::Hours(1));
    std::this_thread::yield();
  }
  const std::string written = files_.Contents(kPath);
  EXPECT_THAT(written, StartsWith("[\n{"));
  EXPECT_THAT(written, EndsWith("},\n"));
}

TEST_F(TracerTest, ManySpansAreWrittenBeforeTheyAreOld) {
  Tracer::Options options = Options();
  options.most_waiting = 8;
  const auto tracer = Tracer::Start(options);
  const TraceRow row(tracer.get(), "executor");
  for (int i = 0; i < 4; ++i) row.Add("pass_1", clock_.Now(), clock_.Now());
  while (files_.Contents(kPath).find("pass_1") == std::string::npos) std::this_thread::yield();
}

TEST_F(TracerTest, WithoutAPathThereIsNoTraceAndSpansGoNowhere) {
  Tracer::Options options = Options();
  options.path.clear();
  EXPECT_EQ(Tracer::Start(options), nullptr);
  const TraceRow row(nullptr, "executor");
  EXPECT_FALSE(row);
  row.Add("pass_1", clock_.Now(), clock_.Now());
  const TraceSpan span(row, "pass_2");
}

TEST_F(TracerTest, AnExistingFileIsReplacedAndPercentPIsTheProcess) {
  Tracer::Options options = Options();
  options.path = "/t-%p.json";
  Tracer::Start(options).reset();
  Tracer::Start(options).reset();
  const std::string path = absl::StrCat("/t-", getpid(), ".json");
  EXPECT_EQ(json::parse(files_.Contents(path)).size(), 3u) << files_.Contents(path);
}

TEST_F(TracerTest, PercentPInTheNameOfAFolderIsItsName) {
  Tracer::Options options = Options();
  ASSERT_TRUE(files_.CreateFolders("/f-%p").ok());
  options.path = "/f-%p/t.json";
  Tracer::Start(options).reset();
  EXPECT_EQ(json::parse(files_.Contents("/f-%p/t.json")).size(), 3u);
}

TEST_F(TracerTest, WhatIsNoFileIsNotReplaced) {
  const std::string folder = absl::StrCat(testing::TempDir(), "/tracer_test_", getpid());
  std::filesystem::create_directory(folder);
  Tracer::Options options = Options();
  options.files = RealFileSystem();
  options.path = folder;
  testing::internal::CaptureStderr();
  EXPECT_EQ(Tracer::Start(options), nullptr);
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr(folder));
  EXPECT_TRUE(std::filesystem::remove(folder));
}

TEST_F(TracerTest, AFileThatCannotBeMadeIsNoTraceAndOneLineInTheLog) {
  Tracer::Options options = Options();
  options.path = "/no/such/folder/t.json";
  testing::internal::CaptureStderr();
  EXPECT_EQ(Tracer::Start(options), nullptr);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("there is no trace: "));
  EXPECT_THAT(log, HasSubstr("/no/such/folder/t.json"));
}

TEST_F(TracerTest, ADiskThatFailsEndsTheTraceWithOneLineInTheLog) {
  for (const FaultKind kind : {FaultKind::kIoError, FaultKind::kShortWrite, FaultKind::kNoSpace}) {
    MemoryFileSystem disk;
    FaultyFileSystem faulty(&disk, kind, /*at=*/3);  // 0: Remove, 1: Create, 2: the beginning, 3: the first lines
    Tracer::Options options = Options();
    options.files = &faulty;
    options.most_waiting = 8;
    testing::internal::CaptureStderr();
    {
      const auto tracer = Tracer::Start(options);
      ASSERT_NE(tracer, nullptr);
      const TraceRow row(tracer.get(), "executor");
      for (int i = 0; i < 4; ++i) row.Add("pass_1", clock_.Now(), clock_.Now());
      while (!faulty.injected()) std::this_thread::yield();
      for (int i = 0; i < 100; ++i) row.Add("pass_2", clock_.Now(), clock_.Now());
    }
    const std::string log = testing::internal::GetCapturedStderr();
    EXPECT_THAT(log, HasSubstr("the trace /t.json ends here: "));
    EXPECT_EQ(log.find('\n'), log.size() - 1) << log;
  }
}

TEST_F(TracerTest, AFullTraceEndsInOrderAndSaysWhatIsMissing) {
  Tracer::Options options = Options();
  options.most_bytes = 400;
  testing::internal::CaptureStderr();
  {
    const auto tracer = Tracer::Start(options);
    const TraceRow row(tracer.get(), "executor");
    for (int i = 0; i < 50; ++i) row.Add("pass_1", clock_.Now(), clock_.Now());
  }
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("ends here: it has 2 bytes; the run continues"));
  EXPECT_TRUE(Spans().empty());
  EXPECT_THAT(Named("process_labels")["labels"].get<std::string>(), HasSubstr("; 50 spans are missing"));
}

TEST_F(TracerTest, ManyThreadsTraceAtOnce) {
  constexpr int kThreads = 4, kSpans = 500;
  {
    const auto tracer = Tracer::Start(Options());
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const TraceRow row(tracer.get(), absl::StrCat("thread ", t));
        for (int i = 0; i < kSpans; ++i)
          row.Add("pass_1", clock_.Now(), clock_.Now(), {.step = static_cast<uint64_t>(i)});
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  std::map<int, std::vector<int>> steps;  // by row
  for (const json& span : Spans()) steps[span["tid"].get<int>()].push_back(span["args"]["step"].get<int>());
  EXPECT_EQ(steps.size(), static_cast<size_t>(kThreads));
  for (const auto& [row, of_row] : steps) {
    EXPECT_EQ(of_row.size(), static_cast<size_t>(kSpans));
    EXPECT_TRUE(std::is_sorted(of_row.begin(), of_row.end()));
  }
}

}  // namespace
}  // namespace arcshard
