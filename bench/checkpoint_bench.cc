// What a shard's part of a checkpoint costs.
//
//   checkpoint_bench --classes 200000 --dim 512 --threads 2 --folder runs/bench
//
// Written alone, against a plain sequential write with fsync of as many bytes to the same folder, alternately; medians:
// write_mb_per_s, plain_mb_per_s (MB of 10^6 bytes, the fsync included), write_ratio = write/plain.
//
// And while the head trains, with as many threads as it is given, so that nothing is idle: step_ms, the mean of steps
// without a checkpoint; step_during_ms, of those that overlap the writing of one; step_ratio = during/without.
// extra_s: by how much a checkpoint makes the steps that it overlaps longer, all of them together; share_percent: of
// the training time, at one checkpoint every ten minutes. stall_s: thread time of updates that waited for the file, a
// checkpoint. steps_during: the steps that a checkpoint overlaps.

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "bench/bench_options.h"
#include "bench/checkpoint_run.h"
#include "bench/measure.h"
#include "bench/result.h"
#include "common/base/status_macros.h"

namespace arcshard::bench {
namespace {

using nlohmann::ordered_json;

struct Options {
  BenchOptions head;
  CheckpointRun::Options run;
  int checkpoints = 5;
  int steps_between = 3;
  std::string json_file;
};

absl::StatusOr<ordered_json> Measure(const Options& options) {
  ASSIGN_OR_RETURN(const head::HeadOptions head_options, HeadOptionsOf(options.head));
  ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointRun> run,
                   CheckpointRun::Create(head_options, options.head.batch, options.run));

  std::vector<double> write_s, plain_s;
  uint64_t bytes = 0;
  for (int repeat = -1; repeat < options.head.repeats; ++repeat) {  // the first is a warm-up: pages, the folder
    ASSIGN_OR_RETURN(const CheckpointRun::Written written, run->Write());
    ASSIGN_OR_RETURN(const double plain, run->WritePlainly(written.bytes));
    bytes = written.bytes;
    if (repeat < 0) continue;
    write_s.push_back(written.seconds);
    plain_s.push_back(plain);
  }

  double without_s = 0.0, during_s = 0.0, stall_s = 0.0;
  int without = 0, during = 0;
  for (int i = 0; i < 2; ++i) RETURN_IF_ERROR(run->Step().status());
  for (int checkpoint = -1; checkpoint < options.checkpoints; ++checkpoint) {  // likewise: memory for copies
    ASSIGN_OR_RETURN(const CheckpointRun::Overlap overlap, run->StepsDuringOne());
    if (checkpoint >= 0) {
      during_s += overlap.seconds;
      during += overlap.steps;
      stall_s += overlap.stall_seconds;
    }
    for (int i = 0; i < options.steps_between; ++i) {
      ASSIGN_OR_RETURN(const double seconds, run->Step());
      without_s += seconds;
      ++without;
    }
  }
  const double step = without_s / without, step_during = during_s / during;
  const double extra = (during_s - during * step) / options.checkpoints;
  const double write = static_cast<double>(bytes) / Median(write_s),
               plain = static_cast<double>(bytes) / Median(plain_s);
  ordered_json result;
  result["part_mb"] = static_cast<double>(bytes) / 1e6;
  result["write_mb_per_s"] = write / 1e6;
  result["plain_mb_per_s"] = plain / 1e6;
  result["write_ratio"] = write / plain;
  result["step_ms"] = step * 1e3;
  result["step_during_ms"] = step_during * 1e3;
  result["step_ratio"] = step_during / step;
  result["steps_during"] = static_cast<double>(during) / options.checkpoints;
  result["extra_s"] = extra;
  result["share_percent"] = extra / 600.0 * 100.0;
  result["stall_s"] = stall_s / options.checkpoints;
  result["checkpoints"] = options.checkpoints;
  result["buffer_mb"] = options.run.buffer_mb;
  result["options"] = ToJson(options.head);
  result["processor"] = ProcessorName();
  return result;
}

absl::Status Run(const Options& options) {
  ASSIGN_OR_RETURN(const ordered_json result, Measure(options));
  PrintFigures(result);
  return WriteJson(result, options.json_file);
}

int Main(int argc, char** argv) {
  Options options;
  options.head.exp_budget_mb = 256;
  options.head.repeats = 5;
  options.head.threads = 2;
  CLI::App app("The cost of a shard's part of a checkpoint: written alone, and while the head trains.");
  const CLI::IsMember types({"float32", "bfloat16"});
  const auto add = [&app](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->capture_default_str()->take_last();
  };
  add("--folder", options.run.folder, "Folder on the disk that is measured; what is written is removed");
  add("--buffer-mb", options.run.buffer_mb, "MiB for rows copied aside, as checkpoint.buffer_mb")
      ->check(CLI::Range(1, 1 << 20));
  add("--checkpoints", options.checkpoints, "Checkpoints taken while the head trains")->check(CLI::Range(1, 1000));
  add("--steps-between", options.steps_between, "Steps between two of them")->check(CLI::Range(1, 1000));
  add("--batch", options.head.batch, "Samples of a step")->check(CLI::Range(1, 1 << 20));
  add("--dim", options.head.dim, "Dimensions")->check(CLI::Range(1, 65536));
  add("--classes", options.head.classes, "Classes of the shard")->check(CLI::Range(1, 1 << 30));
  add("--compute", options.head.compute, "Type of the products' factors")->check(types);
  add("--weights", options.head.weights, "Type that class centers are held in")->check(types);
  add("--moments", options.head.moments, "Type that the optimizer's moments are held in")->check(types);
  add("--optimizer", options.head.optimizer, "sgd or adamw")->check(CLI::IsMember({"sgd", "adamw"}));
  add("--sample-rate", options.head.sample_rate, "Share of the classes that take part beside the targets")
      ->check(CLI::Range(1e-9, 1.0));
  add("--exp-budget-mb", options.head.exp_budget_mb, "MiB for exponentials kept from pass 1")
      ->check(CLI::Range(0, 1 << 20));
  add("--threads", options.head.threads, "Threads of the head")->check(CLI::Range(1, 1024));
  add("--device", options.head.device, "cpu or cuda[:N]");
  add("--repeats", options.head.repeats, "Files written alone, of which the medians are told")
      ->check(CLI::Range(1, 1000));
  app.add_option("--json", options.json_file, "File to write everything to as one JSON object");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = Run(options);
  if (status.ok()) return 0;
  std::cerr << "checkpoint_bench: " << std::string(status.message()) << "\n";
  return 1;
}

}  // namespace
}  // namespace arcshard::bench

int main(int argc, char** argv) { return arcshard::bench::Main(argc, argv); }
