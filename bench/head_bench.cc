// Compares a step of the head with the least that any head has to do (the floor, head_floor.h): its matrix products,
// one pass over weights and moments, and, where weights are not stored in the compute type, one conversion. The step
// and the parts of the floor are measured alternately in this process with the same number of threads; medians are
// printed.
//
//   head_bench --batch 256 --dim 512 --classes 100000 --exp-budget-mb 128 --threads 2
//
//   step_ms                         Begin, Forward and Update of one micro-batch
//   replay_ms                       the same step replayed: Begin and Update, without Forward
//   products_ms, stream_ms, read_ms the parts of the floor; the products use the fastest routine and block size found
//   step_wall_ms                    wall time of the step
//   floor_ratio, ratio              step/(products + stream + read), step/products
//   peak_extra_mb                   peak of the resident memory in the first steps, minus what was resident before the
//                                   head was created and minus weights, moments and step counts; kept exponentials
//                                   count
//
// All times but step_wall_ms are CPU time per thread, on which other processes have the least influence; on a GPU they
// are wall time.

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "bench/bench_options.h"
#include "bench/head_floor.h"
#include "bench/head_step.h"
#include "bench/measure.h"
#include "bench/result.h"
#include "common/base/status_macros.h"
#include "shard_server/head/gpu.h"

namespace arcshard::bench {
namespace {

using nlohmann::ordered_json;

// Memory in use: resident memory of this process, or, on a GPU, the negative of the free memory, since only differences
// matter.
absl::StatusOr<double> HeldMb(const head::HeadOptions& options) {
  if (options.device == head::Device::kCpu) return ResidentMb();
  ASSIGN_OR_RETURN(const int64_t free_bytes, head::FreeGpuBytes(options.device_index));
  return -static_cast<double>(free_bytes) / (1 << 20);
}

absl::StatusOr<ordered_json> Measure(const BenchOptions& options) {
  ASSIGN_OR_RETURN(const head::HeadOptions head_options, HeadOptionsOf(options));
  const double state_mb =
      static_cast<double>(head::Head::RequiredBytes(head_options) - head_options.exp_budget_bytes) / (1 << 20);
  const bool on_gpu = head_options.device == head::Device::kCuda;
  ASSIGN_OR_RETURN(const double before_mb, HeldMb(head_options));
  ASSIGN_OR_RETURN(const std::unique_ptr<HeadStep> step, HeadStep::Create(head_options, options.batch));
  for (int warm_up = 0; warm_up < 2; ++warm_up) RETURN_IF_ERROR(step->Run());
  ASSIGN_OR_RETURN(const double after_mb, HeldMb(head_options));
  const double extra_mb = (on_gpu ? after_mb : PeakResidentMb()) - before_mb - state_mb;
  const std::vector<int64_t> active_rows = step->ActiveRows();
  ASSIGN_OR_RETURN(const std::unique_ptr<HeadFloor> floor, HeadFloor::Create(head_options, options.batch, active_rows));

  std::vector<double> step_ms, replay_ms, step_wall_ms, products_ms, stream_ms, read_ms;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    absl::Status status;
    const auto time = [&](absl::FunctionRef<absl::Status()> part, std::vector<double>* figures) {
      const Milliseconds ms = Time(options.threads, [&] { status.Update(part()); });
      figures->push_back(on_gpu ? ms.wall : ms.cpu_per_thread);
      return ms.wall;
    };
    step_wall_ms.push_back(time([&] { return step->Run(); }, &step_ms));
    time([&] { return step->Replay(); }, &replay_ms);
    time([&] { return floor->Products(); }, &products_ms);
    time([&] { return floor->Stream(); }, &stream_ms);
    time([&] { return floor->Read(); }, &read_ms);
    RETURN_IF_ERROR(status);
  }
  const double products = Median(products_ms), all = products + Median(stream_ms) + Median(read_ms);
  ordered_json result;
  result["step_ms"] = Median(step_ms);
  result["replay_ms"] = Median(replay_ms);
  result["products_ms"] = products;
  result["stream_ms"] = Median(stream_ms);
  result["read_ms"] = Median(read_ms);
  result["step_wall_ms"] = Median(step_wall_ms);
  result["floor_ratio"] = Median(step_ms) / all;
  result["ratio"] = Median(step_ms) / products;
  result["peak_extra_mb"] = extra_mb;
  result["active_classes"] = active_rows.size();
  result["products"] = {
      {"routine", floor->routine()}, {"block_rows", floor->block_rows()}, {"count", 3.0 + floor->recomputed_share()}};
  result["options"] = ToJson(options);
  result["processor"] = ProcessorName();
  result["threads"] = options.threads;
  result["versions"] = {{"libtorch", LibTorchVersion()}, {"compiler", CompilerName()}};
  return result;
}

absl::Status Run(const BenchOptions& options, const std::string& json_file) {
  ASSIGN_OR_RETURN(const ordered_json result, Measure(options));
  PrintFigures(result);
  return WriteJson(result, json_file);
}

int Main(int argc, char** argv) {
  BenchOptions options;
  std::string json_file;
  CLI::App app("The cost of one step of the head, against its matrix products and one pass over its state.");
  const CLI::IsMember types({"float32", "bfloat16"});
  const auto add = [&app](const char* name, auto& value, const char* help) {
    return app.add_option(name, value, help)->capture_default_str();
  };
  add("--batch", options.batch, "Samples of the step")->check(CLI::Range(1, 1 << 20));
  add("--dim", options.dim, "Dimensions")->check(CLI::Range(1, 65536));
  add("--classes", options.classes, "Classes of the shard")->check(CLI::Range(1, 1 << 30));
  add("--compute", options.compute, "Type of the factors of matrix products")->check(types);
  add("--weights", options.weights, "Stored type of class centers")->check(types);
  add("--moments", options.moments, "Stored type of the optimizer's moments")->check(types);
  add("--optimizer", options.optimizer, "sgd or adamw")->check(CLI::IsMember({"sgd", "adamw"}));
  add("--sample-rate", options.sample_rate, "Share of the classes that take part in addition to the targets")
      ->check(CLI::Range(1e-9, 1.0));
  add("--exp-budget-mb", options.exp_budget_mb,
      "MiB for exponentials kept from pass 1; 0: all are computed again in pass 2")
      ->check(CLI::Range(0, 1 << 20));
  add("--threads", options.threads, "Threads")->check(CLI::Range(1, 1024));
  add("--device", options.device, "cpu or cuda[:N]");
  add("--repeats", options.repeats, "Measurements, whose median is printed")->check(CLI::Range(1, 1000));
  app.add_option("--json", json_file, "File for all results as a JSON object");
  CLI11_PARSE(app, argc, argv);
  return ExitCodeOf("head_bench", Run(options, json_file));
}

}  // namespace
}  // namespace arcshard::bench

int main(int argc, char** argv) { return arcshard::bench::Main(argc, argv); }
