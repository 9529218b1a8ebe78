// arcshard train --trace, with real processes.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

// A trace that was read.
struct Trace {
  // Of process and row: the names of its spans.
  std::map<std::pair<std::string, std::string>, std::set<std::string>> names;
  // By process, row and step: begin and end of the spans of that name, in µs.
  struct Span {
    std::string process, row, name;
    int64_t step;
    double begin, end;
  };
  std::vector<Span> spans;
  std::set<std::string> processes;

  // When the first span of that name began in this step, and when the first and the last one ended, at one process or,
  // as "worker", at all workers.
  struct Moments {
    double begin = std::numeric_limits<double>::infinity();
    double first_end = std::numeric_limits<double>::infinity();
    double last_end = 0.0;
  };
  Moments Of(const std::string& process, const std::string& name, int64_t step) const {
    Moments moments;
    for (const Span& span : spans) {
      if (!absl::StartsWith(span.process, process) || span.name != name || span.step != step) continue;
      moments.begin = std::min(moments.begin, span.begin);
      moments.first_end = std::min(moments.first_end, span.end);
      moments.last_end = std::max(moments.last_end, span.end);
    }
    EXPECT_GT(moments.last_end, 0.0) << process << " has no " << name;
    return moments;
  }
};

class TraceTest : public ProcessTestBase {
 protected:
  std::vector<std::string> TracedRun(const std::vector<std::string>& overrides) const {
    std::vector<std::string> arguments = SmallRun(overrides);
    arguments.insert(arguments.end(), {"--trace", Path("trace.json")});
    return arguments;
  }

  // The process and the row of an event.
  static std::pair<int64_t, int64_t> RowOf(const json& event) {
    return {event["pid"].get<int64_t>(), event["tid"].get<int64_t>()};
  }

  Trace Read() const {
    std::ifstream file(Path("trace.json"));
    const json events = json::parse(file, nullptr, /*allow_exceptions=*/false);
    EXPECT_FALSE(events.is_discarded()) << "the trace is no JSON";
    Trace trace;
    std::map<int64_t, std::string> processes;
    std::map<std::pair<int64_t, int64_t>, std::string> rows;
    for (const json& event : events) {
      if (event["name"] == "process_name")
        processes[event["pid"].get<int64_t>()] = event["args"]["name"].get<std::string>();
      if (event["name"] == "thread_name") rows[RowOf(event)] = event["args"]["name"].get<std::string>();
    }
    for (const json& event : events) {
      if (event["ph"] != "X") continue;
      const auto begin = event["ts"].get<double>();
      const Trace::Span span = {processes[event["pid"].get<int64_t>()],
                                rows[RowOf(event)],
                                event["name"].get<std::string>(),
                                event["args"].value("step", int64_t{-1}),
                                begin,
                                begin + event["dur"].get<double>()};
      trace.names[{span.process, span.row}].insert(span.name);
      trace.processes.insert(span.process);
      trace.spans.push_back(span);
    }
    return trace;
  }
};

TEST_F(TraceTest, TheSpansOfAllProcessesAreInOneFileOnOneClock) {
  // So many classes that the workers wait for the shards, on a fast machine too.
  Program run = Start("arcshard", TracedRun({"schedule.epochs=0.01", "schedule.warmup_epochs=0", "run.record=true",
                                             "head.classes=50000", "backbone.embedding_size=256"}));
  EXPECT_EQ(run.AwaitEnd(), cli::ProcessExit{}) << run.output();
  EXPECT_THAT(run.output(), HasSubstr(absl::StrCat("trace: ", Path("trace.json"))));
  EXPECT_FALSE(std::filesystem::exists(Path("trace.json.parts")));
  const Trace trace = Read();
  EXPECT_THAT(trace.processes, ElementsAre("coordinator", "shard 0", "shard 1", "worker 0", "worker 1"));
  auto names = trace.names;
  EXPECT_THAT((names[{"coordinator", "steps"}]), ElementsAre("decision", "step"));
  EXPECT_THAT((names[{"coordinator", "run"}]), IsSupersetOf({"training", "waiting"}));
  EXPECT_THAT((names[{"coordinator", "checkpoint"}]), ElementsAre("checkpoint"));
  for (const std::string shard : {"shard 0", "shard 1"}) {
    EXPECT_THAT((names[{shard, "executor"}]), IsSupersetOf({"begin", "pass_1", "pass_2", "send", "record",
                                                            "wait for workers", "wait for the coordinator"}));
    EXPECT_THAT((names[{shard, "from worker 0"}]), ElementsAre("receive"));
    EXPECT_THAT((names[{shard, "wait for worker 1"}]), ElementsAre("wait"));
    EXPECT_THAT((names[{shard, "checkpoint"}]), ElementsAre("checkpoint"));
  }
  for (const std::string worker : {"worker 0", "worker 1"}) {
    EXPECT_THAT((names[{worker, "training loop"}]),
                IsSupersetOf({"data_wait", "forward", "send", "wait_for_shards", "loss", "backward", "all_reduce",
                              "sum", "vote", "optimizer"}));
    EXPECT_THAT((names[{worker, "from shard 1"}]), ElementsAre("receive"));
    EXPECT_THAT((names[{worker, "wait for shard 0"}]), ElementsAre("wait"));
  }
  // A step goes from process to process in this order, which only one clock shows.
  const Trace::Moments received = trace.Of("shard 0", "receive", 2), pass_1 = trace.Of("shard 0", "pass_1", 2);
  EXPECT_LT(trace.Of("worker", "forward", 2).begin, received.first_end);
  EXPECT_LE(received.first_end, pass_1.begin);
  const Trace::Moments answered = trace.Of("worker 0", "receive", 2), loss = trace.Of("worker 0", "loss", 2);
  EXPECT_LT(pass_1.first_end, answered.last_end);
  EXPECT_LE(answered.first_end, loss.begin);
  const Trace::Moments decision = trace.Of("coordinator", "decision", 2);
  EXPECT_LT(trace.Of("worker", "loss", 2).last_end, decision.last_end);
  EXPECT_LT(decision.begin, trace.Of("shard", "pass_2", 2).begin);
}

TEST_F(TraceTest, WhatAProcessDidBeforeItWasKilledIsThereToo) {
  Program run = Start("arcshard", TracedRun({}));
  run.AwaitLine("  step ");
  const Listing listing = Listing::Of(Path("run"));
  ASSERT_EQ(kill(listing.Find("worker", 1).pid, SIGKILL), 0);
  run.AwaitLine("recovered");
  run.Signal(SIGTERM);
  EXPECT_EQ(run.AwaitEnd(), cli::ProcessExit{}) << run.output();
  const Trace trace = Read();
  EXPECT_THAT(trace.processes, IsSupersetOf({"coordinator", "shard 0", "worker 0", "worker 1"}));
  EXPECT_TRUE(trace.names.at({"coordinator", "run"}).contains("recovering"));
}

TEST_F(TraceTest, AFileThatCannotBeMadeIsSaidBeforeAnythingStarts) {
  std::vector<std::string> arguments = SmallRun();
  arguments.insert(arguments.end(), {"--trace", Path("none/trace.json")});
  EXPECT_THAT(ErrorOf("arcshard", arguments, 1), HasSubstr(Path("none")));
  EXPECT_FALSE(std::filesystem::exists(Path("run/logs/shard-0.log")));
}

}  // namespace
}  // namespace arcshard
