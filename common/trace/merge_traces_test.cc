#include "common/trace/merge_traces.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "common/trace/trace_row.h"

namespace arcshard {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MergeTracesTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, const std::string& contents) {
    ASSERT_TRUE(files_.Create(path).ok());
    files_.SetContents(path, contents);
  }
  // The names of the merged trace's events.
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const json& event : json::parse(files_.Contents("/all.json")))
      names.push_back(event["name"].get<std::string>());
    return names;
  }
  std::vector<std::string> Files() {
    std::vector<std::string> names;
    const auto entries = files_.List("/");
    if (!entries.ok()) return {std::string(entries.status().message())};
    for (const FileSystem::Entry& entry : *entries) names.push_back(entry.name);
    return names;
  }

  MemoryFileSystem files_;
};

TEST_F(MergeTracesTest, EventsOfAllPartsFollowOneAnother) {
  Put("/a", "[\n{\"name\":\"a\"},\n{\"name\":\"b\"}\n]\n");
  Put("/c", "[\n{\"name\":\"c\"}\n]\n");
  ASSERT_TRUE(MergeTraces({"/a", "/c"}, "/all.json", &files_).ok());
  EXPECT_THAT(Names(), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Files(), ElementsAre("all.json"));
}

TEST_F(MergeTracesTest, APartWithoutItsEndGivesItsWholeLines) {
  Put("/a", "[\n{\"name\":\"a\"},\n{\"name\":\"b\",\"args\":{\"step\":1}");
  Put("/b", "");
  Put("/c", "[\n{\"name\":\"c\"},\n");
  ASSERT_TRUE(MergeTraces({"/a", "/b", "/c"}, "/all.json", &files_).ok());
  EXPECT_THAT(Names(), ElementsAre("a", "c"));
}

TEST_F(MergeTracesTest, NoEventsAreAnEmptyTrace) {
  Put("/a", "[\n");
  ASSERT_TRUE(MergeTraces({"/a"}, "/all.json", &files_).ok());
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(MergeTracesTest, AnEarlierTraceIsReplaced) {
  Put("/all.json", "old");
  Put("/all.json.new", "of a merge that was killed");
  Put("/a", "[\n{\"name\":\"a\"},\n");
  ASSERT_TRUE(MergeTraces({"/a"}, "/all.json", &files_).ok());
  EXPECT_THAT(Names(), ElementsAre("a"));
  EXPECT_THAT(Files(), ElementsAre("all.json"));
}

TEST_F(MergeTracesTest, PartsThatAreLongerThanWhatIsReadAtOnceKeepEveryLine) {
  FakeClock clock;
  constexpr int kSpans = 20000;  // more than 1 MiB
  for (const char* const path : {"/a", "/b"}) {
    const auto tracer =
        Tracer::Start({.path = path, .process = path, .clock = &clock, .files = &files_, .most_waiting = kSpans});
    const TraceRow row(tracer.get(), "executor");
    for (int i = 0; i < kSpans; ++i) row.Add("pass_1", clock.Now(), clock.Now(), {.step = static_cast<uint64_t>(i)});
  }
  ASSERT_GT(files_.Contents("/a").size(), size_t{1} << 20);
  ASSERT_TRUE(MergeTraces({"/a", "/b"}, "/all.json", &files_).ok());
  std::vector<int> steps;
  for (const json& event : json::parse(files_.Contents("/all.json"))) {
    if (event["ph"] == "X") steps.push_back(event["args"]["step"].get<int>());
  }
  ASSERT_EQ(steps.size(), size_t{2} * kSpans);
  for (int i = 0; i < 2 * kSpans; ++i) ASSERT_EQ(steps[i], i % kSpans);
}

TEST_F(MergeTracesTest, AfterAnErrorThePartsAreStillThere) {
  const std::string part = "[\n{\"name\":\"a\"},\n{\"name\":\"b\"}\n]\n";
  Put("/a", part);
  for (int64_t at = 0;; ++at) {
    FaultyFileSystem faulty(&files_, FaultKind::kIoError, at);
    const absl::Status merged = MergeTraces({"/a"}, "/all.json", &faulty);
    if (merged.ok()) break;  // there was no fault, or the part could not be removed, which is no error
    EXPECT_TRUE(faulty.injected()) << merged;
    EXPECT_EQ(files_.Contents("/a"), part) << "call " << at;
    EXPECT_FALSE(files_.Open("/all.json.new").ok()) << "call " << at;
  }
  EXPECT_THAT(Names(), ElementsAre("a", "b"));
}

}  // namespace
}  // namespace arcshard
