// Measures the cost of a shard's part of a checkpoint.
//
//   checkpoint_bench --classes 200000 --dim 512 --threads 2 --folder runs/bench
//
// First it writes checkpoints while nothing else runs, alternately with a plain sequential write and fsync of as many
// bytes to the same folder, and prints medians: write_mb_per_s, plain_mb_per_s (in 10^6 bytes, including the fsync) and
// write_ratio = write/plain.
//
// Then it writes checkpoints while the head trains, and prints:
//   step_ms, step_during_ms   mean time of a step without a checkpoint, and while one is written
//   step_ratio                step_during_ms/step_ms
//   steps_during              steps during a checkpoint
//   extra_s                   time that one checkpoint adds to the steps that it overlaps, in total
//   share_percent             extra_s as a share of the training time, with a checkpoint every ten minutes
//   stall_s                   time per checkpoint that updates waited for the file, summed over threads

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
  for (int repeat = -1; repeat < options.head.repeats; ++repeat) {  // the first one only warms up
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
  for (int checkpoint = -1; checkpoint < options.checkpoints; ++checkpoint) {  // the first one only warms up
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
  add("--folder", options.run.folder, "Folder on the disk to measure; the files written there are removed again");
  add("--buffer-mb", options.run.buffer_mb, "MiB for copies of rows, as checkpoint.buffer_mb")
      ->check(CLI::Range(1, 1 << 20));
  add("--checkpoints", options.checkpoints, "Checkpoints taken while the head trains")->check(CLI::Range(1, 1000));
  add("--steps-between", options.steps_between, "Steps between two checkpoints")->check(CLI::Range(1, 1000));
  add("--batch", options.head.batch, "Samples of a step")->check(CLI::Range(1, 1 << 20));
  add("--dim", options.head.dim, "Dimensions")->check(CLI::Range(1, 65536));
  add("--classes", options.head.classes, "Classes of the shard")->check(CLI::Range(1, 1 << 30));
  add("--compute", options.head.compute, "Type of the factors of matrix products")->check(types);
  add("--weights", options.head.weights, "Stored type of class centers")->check(types);
  add("--moments", options.head.moments, "Stored type of the optimizer's moments")->check(types);
  add("--optimizer", options.head.optimizer, "sgd or adamw")->check(CLI::IsMember({"sgd", "adamw"}));
  add("--sample-rate", options.head.sample_rate, "Share of the classes that take part in addition to the targets")
      ->check(CLI::Range(1e-9, 1.0));
  add("--exp-budget-mb", options.head.exp_budget_mb, "MiB for exponentials kept from pass 1")
      ->check(CLI::Range(0, 1 << 20));
  add("--threads", options.head.threads, "Threads of the head")->check(CLI::Range(1, 1024));
  add("--device", options.head.device, "cpu or cuda[:N]");
  add("--repeats", options.head.repeats, "Checkpoints written alone, whose median is printed")
      ->check(CLI::Range(1, 1000));
  app.add_option("--json", options.json_file, "File for all results as a JSON object");
  CLI11_PARSE(app, argc, argv);
  return ExitCodeOf("checkpoint_bench", Run(options));
}

}  // namespace
}  // namespace arcshard::bench

int main(int argc, char** argv) { return arcshard::bench::Main(argc, argv); }
