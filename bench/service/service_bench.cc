// Measures the whole service: shards, workers and a coordinator as processes of this machine, over loopback.
//
//   service_bench --classes 100000 --dim 512 --batch 256 --json service.json
//
// Without --backbone the workers have no network (backbone.name none): an embedding is the first values of its image,
// so that what is measured is the head, the loss and the protocol. Prints, and writes to --json as one object:
//   step_ms                      from one decision to the next; median, and _quartile_1 and _quartile_3
//   worker_PHASE_ms              what one worker does in a step: data_wait (for the loader), forward with send in it,
//                                wait_for_shards, loss, backward, all_reduce with sum in it (the waiting for the
//                                others), vote (from its vote to the decision), optimizer
//   shard_PHASE_ms               what one shard's executor does in a step: begin, pass_1, pass_2, send, and what it
//                                waits for: wait_for_workers, wait_for_the_coordinator
//   uncovered_share              of the time: no shard and no worker computes
//   worker_idle_share,           of the time: one worker, one shard does not compute; while it waits for a processor it
//   shard_idle_share             counts as computing
//   processor_ms                 of all processes, a step
//   ROLE_sent_bytes, ROLE_received_bytes   of gRPC's messages, a step and process of that role
//   NAME_resident_mb, NAME_peak_mb         memory of each process at the end, and the most so far
//   resident_mb                  of all processes
//   options, processor
// With --trace-pairs also, of two runs that make their steps alternately, one of them with a trace:
//   trace_ratio                  a step with it by one without; median of the pairs, and its quartiles
//   trace_processor_ratio        the same of the time of the processors

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "bench/local_run/alternate_runs.h"
#include "bench/measure.h"
#include "bench/result.h"
#include "bench/service/service_run.h"
#include "common/base/status_macros.h"
#include "common/rpc/endpoint.h"

namespace arcshard::bench {
namespace {

using nlohmann::ordered_json;

struct Options {
  int64_t classes = 100000;
  int dim = 512, batch = 256, micro_batch = 64;
  uint32_t shards = 2, workers = 2;
  int shard_threads = 1, worker_threads = 1;
  double sample_rate = 1.0;
  std::string compute = "float32";
  std::string backbone = "none";
  int width = 16, image_size = 0;
  uint64_t warmup = 3, steps = 20;
  std::vector<std::string> overrides;
  std::string folder = "runs/service_bench";
  std::string trace;
  int trace_pairs = 0;
  std::string json_file;
};

// 0: the least that has enough values for an embedding without a network, and 32 with one.
int ImageSize(const Options& options) {
  if (options.image_size > 0) return options.image_size;
  if (options.backbone != "none") return 32;
  int size = 16;
  while (3 * size * size < options.dim) size += 16;
  return size;
}

LocalRun::Options RunOf(const Options& options, const std::string& name) {
  LocalRun::Options run;
  run.programs = ProgramFolder();
  run.folder = absl::StrCat(std::filesystem::absolute(options.folder).string(), "/", name);
  run.shards = options.shards;
  run.workers = options.workers;
  run.overrides = options.overrides;
  run.yaml = absl::StrCat(
      "data: {format: synthetic, synthetic_samples: 1000000, image_size: ", ImageSize(options),
      ", flip: false, batch_size: ", options.batch, ", micro_batch_size: ", options.micro_batch,
      "}\nbackbone: {name: ", options.backbone, ", width: ", options.width, ", embedding_size: ", options.dim,
      "}\nhead: {classes: ", options.classes, ", sample_rate: ", options.sample_rate, ", compute: ", options.compute,
      "}\nschedule: {epochs: 1000}\ncheckpoint: {every_minutes: 0}\ncluster: {shards: ", options.shards,
      ", workers: ", options.workers, ", shard_threads: ", options.shard_threads,
      ", worker_threads: ", options.worker_threads, ", recovery_target: 24h}\n");
  return run;
}

void Put(const ServiceFigures& figures, ordered_json* result) {
  PutQuartiles("step_ms", figures.steps.step_ms, result);
  for (const auto& [key, ms] : figures.steps.phase_ms) {
    (*result)[absl::StrCat(key.first, "_", absl::StrReplaceAll(key.second, {{" ", "_"}}), "_ms")] = ms;
  }
  (*result)["uncovered_share"] = figures.steps.uncovered_share;
  for (const auto& [role, share] : figures.steps.idle_share) (*result)[role + "_idle_share"] = share;
  (*result)["processor_ms"] = figures.processor_ms;
  (*result)["shard_sent_bytes"] = figures.shard_sent_bytes;
  (*result)["shard_received_bytes"] = figures.shard_received_bytes;
  (*result)["worker_sent_bytes"] = figures.worker_sent_bytes;
  (*result)["worker_received_bytes"] = figures.worker_received_bytes;
  double resident = 0.0;
  for (const auto& [process, memory] : figures.memory) {
    const std::string name = absl::StrReplaceAll(process, {{"-", "_"}});
    (*result)[name + "_resident_mb"] = memory.resident_mb;
    (*result)[name + "_peak_mb"] = memory.peak_mb;
    resident += memory.resident_mb;
  }
  (*result)["resident_mb"] = resident;
}

absl::Status Run(const Options& options) {
  ordered_json result;
  LocalRun::Options run = RunOf(options, "run");
  // Not within the run's folder, which is deleted before and after.
  run.trace = options.trace.empty() ? absl::StrCat(std::filesystem::absolute(options.folder).string(), "/trace.json")
                                    : std::filesystem::absolute(options.trace).string();
  std::error_code ignored;
  std::filesystem::create_directories(options.folder, ignored);  // else making the trace's file says why
  ASSIGN_OR_RETURN(const ServiceFigures figures, MeasureService(run, options.warmup, options.steps));
  if (options.trace.empty()) std::filesystem::remove(run.trace, ignored);
  Put(figures, &result);
  if (options.trace_pairs > 0) {
    // A run that is stopped must not count as dead.
    LocalRun::Options with = RunOf(options, "with_trace"), without = RunOf(options, "without_trace");
    for (LocalRun::Options* const one : {&with, &without}) {
      one->overrides.insert(one->overrides.end(), {"cluster.heartbeat_timeout=1h", "cluster.rejoin_timeout=2h"});
    }
    with.trace = absl::StrCat(with.folder, ".json");
    ASSIGN_OR_RETURN(const AlternateSteps cost, AlternateRuns(with, without, options.trace_pairs, options.steps));
    std::filesystem::remove_all(absl::StrCat(with.trace, ".parts"), ignored);
    PutQuartiles("trace_ratio", Ratios(cost.seconds_with, cost.seconds_without), &result);
    PutQuartiles("trace_processor_ratio", Ratios(cost.processor_with, cost.processor_without), &result);
  }
  result["options"] = {{"classes", options.classes},
                       {"dim", options.dim},
                       {"batch", options.batch},
                       {"micro_batch", options.micro_batch},
                       {"shards", options.shards},
                       {"workers", options.workers},
                       {"shard_threads", options.shard_threads},
                       {"worker_threads", options.worker_threads},
                       {"sample_rate", options.sample_rate},
                       {"compute", options.compute},
                       {"backbone", options.backbone},
                       {"width", options.width},
                       {"image_size", ImageSize(options)},
                       {"warmup", options.warmup},
                       {"steps", options.steps},
                       {"set", options.overrides}};
  result["processor"] = ProcessorName();
  PrintFigures(result);
  return WriteJson(result, options.json_file);
}

void AddOptions(CLI::App* app, Options* options) {
  const auto add = [app](const char* name, auto& value, const char* help) {
    return app->add_option(name, value, help)->capture_default_str()->take_last();
  };
  add("--classes", options->classes, "Classes")->check(CLI::Range(2, 1 << 30));
  add("--dim", options->dim, "Dimensions of an embedding")->check(CLI::Range(1, 8192));
  add("--batch", options->batch, "Samples of a step")->check(CLI::Range(2, 1 << 20));
  add("--micro-batch", options->micro_batch, "Samples of a micro-batch")->check(CLI::Range(2, 1 << 20));
  add("--shards", options->shards, "Shards")->check(CLI::Range(1, 64));
  add("--workers", options->workers, "Workers")->check(CLI::Range(1, 64));
  add("--shard-threads", options->shard_threads, "Threads of a shard")->check(CLI::Range(1, 1024));
  add("--worker-threads", options->worker_threads, "Threads of a worker")->check(CLI::Range(1, 1024));
  add("--sample-rate", options->sample_rate, "head.sample_rate")->check(CLI::Range(0.0, 1.0));
  add("--compute", options->compute, "head.compute: float32 or bfloat16");
  add("--backbone", options->backbone, "backbone.name, such as iresnet18");
  add("--width", options->width, "backbone.width")->check(CLI::Range(1, 1024));
  add("--image-size", options->image_size, "data.image_size; 0: 32 with a network, and what is needed without one")
      ->check(CLI::Range(0, 4096));
  add("--warmup", options->warmup, "Steps that are not measured")->check(CLI::Range(1, 1000000));
  add("--steps", options->steps, "Steps that are measured")->check(CLI::Range(1, 1000000));
  app->add_option("--set", options->overrides, "Any key of the configuration, section.key=value; may be repeated")
      ->allow_extra_args(false);
  add("--folder", options->folder, "Folder for the run, which is removed again");
  app->add_option("--trace", options->trace, "File that keeps the trace, for ui.perfetto.dev");
  add("--trace-pairs", options->trace_pairs, "Pairs of slices of --steps steps with and without a trace")
      ->check(CLI::Range(0, 1000));
  app->add_option("--json", options->json_file, "File for all results as a JSON object");
}

int Main(int argc, char** argv) {
  PrepareGrpc();
  Options options;
  CLI::App app("Measures the whole service: shards, workers and a coordinator as processes of this machine.");
  AddOptions(&app, &options);
  CLI11_PARSE(app, argc, argv);
  return ExitCodeOf("service_bench", Run(options));
}

}  // namespace
}  // namespace arcshard::bench

int main(int argc, char** argv) { return arcshard::bench::Main(argc, argv); }
