// Measures what a step costs the coordinator, by the number of shards and workers. These are simulated: they send what
// the real programs send, and compute nothing.
//
//   coordinator_bench --sizes 1,10,100,300,1000 --json coordinator.json
//
// In process there is the coordinator without its network, on a clock of its own. Over loopback there is
// arcshard-coordinator itself, with a connection for each member, and steps follow each other at once. Sizes are
// numbers of shards and of workers; in process also of shards beside one worker, and of workers beside one shard.
// Prints a table, of the coordinator's CPU time in milliseconds where nothing else is said:
//
//   step       of a step that takes --step-ms: votes, the decision, and what that time costs by itself (heartbeats,
//              pulses, ticks, reports)
//   us/member  step by the number of members, in microseconds
//   votes      of step: votes and decision
//   beats      of step, in process: heartbeats
//   ticks      of step, in process: what depends on time alone
//   idle       over loopback: a second without a step
//   step wall  over loopback: wall time of a step from the first vote until all have the decision
//   last vote  the same from the last vote
//   join       from the first registration to the first step
//   hang tick  in process: a tick while one worker hangs and all others wait for it
//   new view   in process: all connect anew, from the tick that finds that they must to the first step
//   growth     b of members^b, between the two largest sizes: 1 is linear

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/coordinator/growth.h"
#include "bench/coordinator/in_process.h"
#include "bench/coordinator/loopback.h"
#include "bench/measure.h"
#include "bench/result.h"
#include "common/base/status_macros.h"
#include "common/rpc/endpoint.h"

namespace arcshard::bench {
namespace {

using nlohmann::ordered_json;

struct Options {
  std::vector<uint32_t> sizes = {1, 10, 100, 300, 1000};
  std::string where = "both";  // in_process | loopback | both
  int steps = 30;
  int step_ms = 100;
  std::string folder = "runs/coordinator_bench";
  std::string json_file;
};

double MicrosecondsOfAMember(double step_ms, const Size& size) { return step_ms * 1e3 / size.members(); }

ordered_json RowOf(const Size& size, double step_ms) {
  return {{"shards", size.shards},
          {"workers", size.workers},
          {"step_ms", step_ms},
          {"us_per_member", MicrosecondsOfAMember(step_ms, size)}};
}

absl::StatusOr<ordered_json> InProcess(const Options& options, const Size& size) {
  InProcessOptions in_process{.size = size, .steps = options.steps};
  in_process.step_time = absl::Milliseconds(options.step_ms);
  in_process.folder = options.folder;
  ASSIGN_OR_RETURN(const InProcessCost cost, MeasureInProcess(in_process));
  std::cout << absl::StreamFormat("%6d %7d %9.3f %9.2f %8.3f %8.3f %8.3f %9.3f %9.1f %9.3f %9.1f\n", size.shards,
                                  size.workers, cost.step_ms, MicrosecondsOfAMember(cost.step_ms, size), cost.votes_ms,
                                  cost.beats_ms, cost.ticks_ms, cost.last_vote_ms, cost.join_ms, cost.hang_tick_ms,
                                  cost.new_view_ms)
            << std::flush;
  ordered_json row = RowOf(size, cost.step_ms);
  row.update(ordered_json{{"votes_ms", cost.votes_ms},
                          {"beats_ms", cost.beats_ms},
                          {"ticks_ms", cost.ticks_ms},
                          {"last_vote_ms", cost.last_vote_ms},
                          {"join_ms", cost.join_ms},
                          {"hang_tick_ms", cost.hang_tick_ms},
                          {"new_view_ms", cost.new_view_ms}});
  return row;
}

absl::StatusOr<ordered_json> Loopback(const Options& options, const Size& size) {
  LoopbackOptions loopback{.size = size, .steps = options.steps};
  loopback.programs = ProgramFolder();
  loopback.folder = options.folder;
  ASSIGN_OR_RETURN(const LoopbackCost cost, MeasureLoopback(loopback));
  const double step_ms = cost.votes_ms + cost.idle_ms * options.step_ms * 1e-3;
  std::cout << absl::StreamFormat("%6d %7d %9.3f %9.2f %8.3f %8.1f %9.1f %9.1f %9.1f %8.0f\n", size.shards,
                                  size.workers, step_ms, MicrosecondsOfAMember(step_ms, size), cost.votes_ms,
                                  cost.idle_ms, cost.step_wall_ms, cost.last_vote_ms, cost.join_ms, cost.peak_mb)
            << std::flush;
  ordered_json row = RowOf(size, step_ms);
  row.update(ordered_json{{"votes_ms", cost.votes_ms},
                          {"idle_ms", cost.idle_ms},
                          {"step_wall_ms", cost.step_wall_ms},
                          {"last_vote_ms", cost.last_vote_ms},
                          {"join_ms", cost.join_ms},
                          {"peak_mb", cost.peak_mb}});
  return row;
}

// Adds a row to the series; a size that it has already is left out.
template <typename MeasureSize>
absl::Status Add(const MeasureSize& measure, const Options& options, const Size& size, Series* series,
                 ordered_json* rows) {
  for (const auto& point : series->points) {
    if (point.first == size.members()) return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const ordered_json row, measure(options, size));
  series->points.emplace_back(size.members(), row["step_ms"].get<double>());
  rows->push_back(row);
  return absl::OkStatus();
}

absl::Status MeasureSeries(const Options& options, std::vector<Series>* all, ordered_json* result) {
  if (options.where != "loopback") {
    std::cout << "in process\nshards workers      step us/member    votes    beats    ticks last vote      join hang "
                 "tick  new view\n";
    Series both{"in process, as many shards as workers", '*', {}}, shards{"in process, one worker", 's', {}},
        workers{"in process, one shard", 'w', {}};
    for (const uint32_t n : options.sizes) {
      RETURN_IF_ERROR(Add(InProcess, options, {n, n}, &both, &(*result)["in_process"]));
      RETURN_IF_ERROR(Add(InProcess, options, {n, 1}, &shards, &(*result)["in_process_one_worker"]));
      RETURN_IF_ERROR(Add(InProcess, options, {1, n}, &workers, &(*result)["in_process_one_shard"]));
    }
    all->insert(all->end(), {both, shards, workers});
  }
  if (options.where == "in_process") return absl::OkStatus();
  std::cout
      << "over loopback\nshards workers      step us/member    votes     idle step wall last vote      join  peak "
         "MB\n";
  Series loopback{"over loopback, as many shards as workers", 'o', {}};
  for (const uint32_t n : options.sizes) {
    RETURN_IF_ERROR(Add(Loopback, options, {n, n}, &loopback, &(*result)["loopback"]));
  }
  all->push_back(loopback);
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  std::vector<Series> all;
  ordered_json result;
  RETURN_IF_ERROR(MeasureSeries(options, &all, &result));
  for (const Series& series : all) {
    if (series.points.size() < 2) continue;
    result["growth"][series.name] = GrowthExponent(series);
    std::cout << absl::StreamFormat("growth %5.2f  %s\n", GrowthExponent(series), series.name);
  }
  std::cout << PlotOf(all);
  result["options"] = {{"sizes", options.sizes}, {"steps", options.steps}, {"step_ms", options.step_ms}};
  result["processor"] = ProcessorName();
  result["versions"] = {{"compiler", CompilerName()}};
  return WriteJson(result, options.json_file);
}

int Main(int argc, char** argv) {
  PrepareGrpc();
  Options options;
  CLI::App app("What a step costs the coordinator, by the number of simulated shards and workers.");
  const auto add = [&app](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->capture_default_str()->take_last();
  };
  app.add_option("--sizes", options.sizes, "Numbers of shards and of workers, ascending")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  add("--where", options.where, "in_process, loopback, or both")
      ->check(CLI::IsMember({"in_process", "loopback", "both"}));
  add("--steps", options.steps, "Steps that are measured of each size")->check(CLI::Range(1, 100000));
  add("--step-ms", options.step_ms, "Time that a step takes")->check(CLI::Range(1, 10000));
  add("--folder", options.folder, "Folder for the runs, which are removed again");
  app.add_option("--json", options.json_file, "File for all results as a JSON object");
  CLI11_PARSE(app, argc, argv);
  options.folder = std::filesystem::absolute(options.folder).string();
  return ExitCodeOf("coordinator_bench", Run(options));
}

}  // namespace
}  // namespace arcshard::bench

int main(int argc, char** argv) { return arcshard::bench::Main(argc, argv); }
