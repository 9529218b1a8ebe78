// Measures how soon a run goes on after a fault, and what the replay log costs a step that nothing disturbs. The run's
// processes are real ones, over loopback: shards, workers and a coordinator, each with one thread.
//
//   recovery_bench --classes 100000 --dim 512 --batch 128 --folder runs/bench
//
// Prints, in seconds from the fault to the next decided step, the median and the largest of all repeats:
//   worker_s, coordinator_s   killed by SIGKILL and started again at once
//   hang_s                    a worker that is stopped; heartbeat_timeout is beside it
//   shard_s                   killed, and its place is a waiting spare's
//   shard_bound_s             2 s + load_s + predicted_replay_s: what shard_s is to be below
//   load_s                    of shard_s: until the spare holds the checkpoint's state
//   replay_s                  and replaying the replayed_steps steps since then
//   predicted_replay_s        how long that was to take, as another shard said before (arcshard_replay_seconds)
//   replay_ratio              replay_s/predicted_replay_s; median of the repeats, and its quartiles
//
// and of runs that are made alternately with the log (the default of cluster.log_mb) and without it (0):
//   step_ms                   a step without the log
//   log_ratio                 a step with it by one without; median of the pairs, and its quartiles
//   log_processor_ratio       the same of the time of the processors that all processes use
//   checkpoints               that the log has asked for meanwhile, which is part of what it costs (--recovery-target)

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "bench/local_run/alternate_runs.h"
#include "bench/measure.h"
#include "bench/recovery/recovery_times.h"
#include "bench/result.h"
#include "common/base/status_macros.h"
#include "common/rpc/endpoint.h"

namespace arcshard::bench {
namespace {

using nlohmann::ordered_json;

struct Options {
  int64_t classes = 100000;
  int dim = 512;
  int batch = 128;
  int micro_batch = 32;
  int width = 16;
  uint32_t shards = 2, workers = 2;
  std::string heartbeat_timeout = "8s";
  std::string recovery_target = "30s";
  std::string folder = "runs/recovery_bench";
  int repeats = 20;
  uint64_t steps_between = 3, steps_in_log = 30;
  int pairs = 40;
  uint64_t steps_in_slice = 4;
  std::string json_file;
};

LocalRun::Options RunOf(const Options& options, const std::string& name, const std::string& cluster) {
  LocalRun::Options run;
  run.programs = ProgramFolder();
  run.folder = absl::StrCat(std::filesystem::absolute(options.folder).string(), "/", name);
  run.shards = options.shards;
  run.workers = options.workers;
  run.yaml = absl::StrCat(
      "data: {format: synthetic, synthetic_samples: 1000000, image_size: 32, flip: false, batch_size: ", options.batch,
      ", micro_batch_size: ", options.micro_batch, "}\nbackbone: {name: iresnet18, width: ", options.width,
      ", embedding_size: ", options.dim, "}\nhead: {classes: ", options.classes,
      "}\nschedule: {epochs: 1000}\ncheckpoint: {every_minutes: 0, keep_last: 1}\ncluster: {shards: ", options.shards,
      ", workers: ", options.workers, ", ", cluster, "}\n");
  return run;
}

void Put(const std::string& name, std::vector<double> seconds, ordered_json* result) {
  (*result)[name + "_s"] = Median(seconds);
  (*result)[name + "_max_s"] = *std::max_element(seconds.begin(), seconds.end());
}

absl::Status Recover(const Options& options, ordered_json* result) {
  RecoveryTimesOptions times_options;
  times_options.run = RunOf(options, "recovery", absl::StrCat("heartbeat_timeout: ", options.heartbeat_timeout));
  times_options.repeats = options.repeats;
  times_options.steps_between = options.steps_between;
  times_options.steps_in_log = options.steps_in_log;
  ASSIGN_OR_RETURN(const RecoveryTimes times, MeasureRecovery(times_options));
  Put("worker", times.worker, result);
  Put("coordinator", times.coordinator, result);
  Put("hang", times.hang, result);
  Put("shard", times.shard, result);
  Put("load", times.load, result);
  Put("replay", times.replay, result);
  (*result)["predicted_replay_s"] = Median(times.predicted_replay);
  (*result)["shard_bound_s"] = 2.0 + Median(times.load) + Median(times.predicted_replay);
  PutQuartiles("replay_ratio", Ratios(times.replay, times.predicted_replay), result);
  (*result)["heartbeat_timeout"] = options.heartbeat_timeout;
  (*result)["replayed_steps"] = times.replayed_steps;
  return absl::OkStatus();
}

absl::Status Compare(const Options& options, ordered_json* result) {
  // A run that is stopped must not count as dead.
  const std::string patient =
      absl::StrCat("heartbeat_timeout: 1h, rejoin_timeout: 2h, recovery_target: ", options.recovery_target);
  ASSIGN_OR_RETURN(const AlternateSteps cost,
                   AlternateRuns(RunOf(options, "with_log", patient),
                                 RunOf(options, "without_log", absl::StrCat(patient, ", log_mb: 0")), options.pairs,
                                 options.steps_in_slice));
  (*result)["checkpoints"] = cost.checkpoints;
  (*result)["step_ms"] = Median(cost.seconds_without) * 1e3;
  PutQuartiles("log_ratio", Ratios(cost.seconds_with, cost.seconds_without), result);
  PutQuartiles("log_processor_ratio", Ratios(cost.processor_with, cost.processor_without), result);
  return absl::OkStatus();
}

absl::Status Run(const Options& options) {
  ordered_json result;
  if (options.repeats > 0) RETURN_IF_ERROR(Recover(options, &result));
  if (options.pairs > 0) RETURN_IF_ERROR(Compare(options, &result));
  result["options"] = {{"classes", options.classes},         {"dim", options.dim},         {"batch", options.batch},
                       {"micro_batch", options.micro_batch}, {"width", options.width},     {"shards", options.shards},
                       {"workers", options.workers},         {"repeats", options.repeats}, {"pairs", options.pairs}};
  result["processor"] = ProcessorName();
  PrintFigures(result);
  return WriteJson(result, options.json_file);
}

int Main(int argc, char** argv) {
  PrepareGrpc();
  Options options;
  CLI::App app("How soon a run goes on after a fault, and what the replay log costs.");
  const auto add = [&app](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->capture_default_str()->take_last();
  };
  add("--classes", options.classes, "Classes of the run")->check(CLI::Range(2, 1 << 30));
  add("--dim", options.dim, "Dimensions")->check(CLI::Range(1, 65536));
  add("--batch", options.batch, "Samples of a step")->check(CLI::Range(2, 1 << 20));
  add("--micro-batch", options.micro_batch, "Samples of a micro-batch")->check(CLI::Range(2, 1 << 20));
  add("--width", options.width, "Width of the backbone, an iresnet18")->check(CLI::Range(1, 64));
  add("--shards", options.shards, "Shards")->check(CLI::Range(2, 64));
  add("--workers", options.workers, "Workers")->check(CLI::Range(2, 64));
  add("--heartbeat-timeout", options.heartbeat_timeout, "cluster.heartbeat_timeout, such as 8s");
  add("--recovery-target", options.recovery_target,
      "cluster.recovery_target of the runs that are compared, such as 30s");
  add("--folder", options.folder, "Folder for the runs, which are removed again");
  add("--repeats", options.repeats, "Faults of each kind; 0: none is measured")->check(CLI::Range(0, 1000));
  add("--steps-between", options.steps_between, "Steps before each fault")->check(CLI::Range(1, 100000));
  add("--steps-in-log", options.steps_in_log, "Steps since the checkpoint when a shard is killed")
      ->check(CLI::Range(1, 100000));
  add("--pairs", options.pairs, "Pairs of slices with and without the log; 0: not compared")
      ->check(CLI::Range(0, 1000));
  add("--steps-in-slice", options.steps_in_slice, "Steps of such a slice, which has to take less than 5 s")
      ->check(CLI::Range(1, 100000));
  app.add_option("--json", options.json_file, "File for all results as a JSON object");
  CLI11_PARSE(app, argc, argv);
  return ExitCodeOf("recovery_bench", Run(options));
}

}  // namespace
}  // namespace arcshard::bench

int main(int argc, char** argv) { return arcshard::bench::Main(argc, argv); }
