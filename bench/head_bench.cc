// What a step of the head costs over what no head can avoid: its three matrix products and one pass over weights and
// momentum. All three are measured alternately in this process, with the same blocks and threads; medians.
//
//   head_bench --batch 256 --dim 512 --classes 100000 --exp-budget-mb 128 --threads 2
//
// step_ms, products_ms and stream_ms are CPU time per thread, which a busy machine disturbs least; step_wall_ms is the
// clock's. floor_ratio = step_ms/(products_ms + stream_ms). peak_extra_mb: resident memory at its highest during the
// first steps, above what was there when the head had been created.

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "common/base/status_macros.h"
#include "shard_server/head/blas.h"
#include "shard_server/head/block_plan.h"
#include "shard_server/head/buffer.h"
#include "shard_server/head/head.h"
#include "shard_server/head/prepared_group.h"
#include "shard_server/head/worker_pool.h"

namespace arcshard::head {
namespace {

struct BenchOptions {
  int64_t batch = 256;
  int64_t dim = 512;
  int64_t classes = 100000;
  int64_t exp_budget_mb = 0;
  int threads = 1;
  int repeats = 9;
  bool json = false;
};

double MillisecondsOf(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) * 1e-6;
}

double PeakResidentMb() {
  rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

// A head with one micro-batch of normal embeddings, and gradients of the size that a loss gives.
class Step {
 public:
  static absl::StatusOr<std::unique_ptr<Step>> Create(const BenchOptions& options) {
    HeadOptions head_options;
    head_options.num_classes = options.classes;
    head_options.range = {0, options.classes};
    head_options.dim = options.dim;
    head_options.threads = options.threads;
    head_options.exp_budget_bytes = options.exp_budget_mb << 20;
    std::unique_ptr<Step> step(new Step(options));
    ASSIGN_OR_RETURN(step->head_, Head::Create(head_options, Head::RequiredBytes(head_options)));
    return step;
  }

  absl::Status Run() {
    const ForwardInput input = {{embedding_.data(), batch_, dim_}, labels_};
    const ForwardOutput output = {absl::MakeSpan(z_), {u_.data(), batch_, dim_}, {own_.data(), batch_, dim_}};
    RETURN_IF_ERROR(head_->Begin(++steps_, labels_));
    RETURN_IF_ERROR(head_->Forward({&input, 1}, {&output, 1}));
    const float scale = head_->options().scale / static_cast<float>(batch_);
    for (size_t i = 0; i < z_.size(); ++i) r_[i] = scale / z_[i];
    const Group group = {{input, r_, t_}};
    return head_->Update({&group, 1}, 0.1f);
  }

 private:
  explicit Step(const BenchOptions& options)
      : batch_(options.batch),
        dim_(options.dim),
        embedding_(options.batch * options.dim),
        labels_(options.batch),
        z_(options.batch),
        u_(options.batch * options.dim),
        own_(options.batch * options.dim),
        r_(options.batch),
        t_(options.batch, -64.0f / static_cast<float>(options.batch)) {
    std::mt19937_64 generator(1);
    std::normal_distribution<float> normal;
    for (float& value : embedding_) value = normal(generator);
    for (int64_t& label : labels_) label = static_cast<int64_t>(generator() % static_cast<uint64_t>(options.classes));
  }

  const int64_t batch_, dim_;
  std::vector<float> embedding_;
  std::vector<int64_t> labels_;
  std::vector<float> z_, u_, own_, r_, t_;
  std::unique_ptr<Head> head_;
  uint64_t steps_ = 0;
};

// The same products and the same memory traffic, with nothing between.
class Floor {
 public:
  static absl::StatusOr<std::unique_ptr<Floor>> Create(const BenchOptions& options) {
    std::unique_ptr<Floor> floor(new Floor(options));
    RETURN_IF_ERROR(floor->Allocate());
    return floor;
  }

  void Products() {
    pool_.Run([this](int thread) {
      Scratch& own = scratch_[static_cast<size_t>(thread)];
      ForEachBlock(thread, [&](const Block& block) {
        const float* const w = w_.data() + block.begin * dim_;
        ProductOfCosines(block.rows, batch_, dim_, w, embedding_.data(), own.s.data(), stride_);
        AddWeightedCenters(block.rows, batch_, dim_, own.s.data(), stride_, w, own.u.data());
      });
      ForEachBlock(thread, [&](const Block& block) {
        ProductOfGradient(block.rows, batch_, dim_, own.s.data(), stride_, embedding_.data(), false, own.h.data());
      });
    });
  }

  void Stream() {
    pool_.Run([this](int thread) {
      const float* const g = scratch_[static_cast<size_t>(thread)].h.data();
      ForEachBlock(thread, [&](const Block& block) {
        for (int64_t row = block.begin; row < block.begin + block.rows; ++row) {
          SgdRow(dim_, g, w_.data() + row * dim_, v_.data() + row * dim_);
        }
      });
    });
  }

 private:
  struct Scratch {
    Buffer<float> s, u, h;
  };

  explicit Floor(const BenchOptions& options)
      : batch_(options.batch),
        dim_(options.dim),
        classes_(options.classes),
        stride_(PreparedGroup::StrideOf(options.batch)),
        plan_(BlockPlan::Make(options.classes, options.dim, options.threads)),
        pool_(options.threads),
        scratch_(static_cast<size_t>(options.threads)) {}

  absl::Status Allocate() {
    RETURN_IF_ERROR(w_.Reserve(classes_ * dim_, "W"));
    RETURN_IF_ERROR(v_.Reserve(classes_ * dim_, "V"));
    RETURN_IF_ERROR(embedding_.Reserve(batch_ * dim_, "E"));
    std::fill_n(w_.data(), classes_ * dim_, 0.01f);
    std::fill_n(v_.data(), classes_ * dim_, 0.0f);
    std::fill_n(embedding_.data(), batch_ * dim_, 0.01f);
    for (Scratch& own : scratch_) {
      RETURN_IF_ERROR(own.s.Reserve(plan_.max_rows * stride_, "S"));
      RETURN_IF_ERROR(own.u.Reserve(batch_ * dim_, "U"));
      RETURN_IF_ERROR(own.h.Reserve(plan_.max_rows * dim_, "H"));
      std::fill_n(own.s.data(), plan_.max_rows * stride_, 0.0f);
      std::fill_n(own.u.data(), batch_ * dim_, 0.0f);
      std::fill_n(own.h.data(), plan_.max_rows * dim_, 0.0f);
    }
    return absl::OkStatus();
  }

  template <typename Function>
  void ForEachBlock(int thread, Function function) {
    for (int64_t b = plan_.first_block[thread]; b < plan_.first_block[thread + 1]; ++b) {
      function(plan_.blocks[static_cast<size_t>(b)]);
    }
  }

  // v <- momentum·v + g, w <- w - lr·v.
  static void SgdRow(int64_t dim, const float* __restrict g, float* __restrict w, float* __restrict v) {
    for (int64_t d = 0; d < dim; ++d) {
      v[d] = 0.9f * v[d] + g[d];
      w[d] -= 0.1f * v[d];
    }
  }

  const int64_t batch_, dim_, classes_, stride_;
  const BlockPlan plan_;
  WorkerPool pool_;
  Buffer<float> w_, v_, embedding_;
  std::vector<Scratch> scratch_;
};

template <typename Function>
double CpuMilliseconds(int threads, Function function) {
  const double before = MillisecondsOf(CLOCK_PROCESS_CPUTIME_ID);
  function();
  return (MillisecondsOf(CLOCK_PROCESS_CPUTIME_ID) - before) / threads;
}

absl::StatusOr<nlohmann::ordered_json> Measure(const BenchOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Step> step, Step::Create(options));
  const double created_mb = PeakResidentMb();
  for (int warm_up = 0; warm_up < 2; ++warm_up) RETURN_IF_ERROR(step->Run());
  const double extra_mb = PeakResidentMb() - created_mb;
  ASSIGN_OR_RETURN(const std::unique_ptr<Floor> floor, Floor::Create(options));
  floor->Products();
  std::vector<double> step_ms, step_wall_ms, products_ms, stream_ms;
  for (int repeat = 0; repeat < options.repeats; ++repeat) {
    absl::Status status;
    const double wall_before = MillisecondsOf(CLOCK_MONOTONIC);
    step_ms.push_back(CpuMilliseconds(options.threads, [&] { status = step->Run(); }));
    step_wall_ms.push_back(MillisecondsOf(CLOCK_MONOTONIC) - wall_before);
    RETURN_IF_ERROR(status);
    products_ms.push_back(CpuMilliseconds(options.threads, [&] { floor->Products(); }));
    stream_ms.push_back(CpuMilliseconds(options.threads, [&] { floor->Stream(); }));
  }
  nlohmann::ordered_json result;
  result["step_ms"] = Median(step_ms);
  result["products_ms"] = Median(products_ms);
  result["stream_ms"] = Median(stream_ms);
  result["step_wall_ms"] = Median(step_wall_ms);
  result["floor_ratio"] = Median(step_ms) / (Median(products_ms) + Median(stream_ms));
  result["peak_extra_mb"] = extra_mb;
  return result;
}

int Main(int argc, char** argv) {
  BenchOptions options;
  CLI::App app("The cost of one step of the head on the CPU, against its matrix products and one pass over its state.");
  app.add_option("--batch", options.batch, "Samples of the step")->check(CLI::Range(1, 1 << 20))->capture_default_str();
  app.add_option("--dim", options.dim, "Dimensions")->check(CLI::Range(1, 65536))->capture_default_str();
  app.add_option("--classes", options.classes, "Classes of the shard")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  app.add_option("--exp-budget-mb", options.exp_budget_mb, "MiB for exponentials kept from pass 1; 0: computed again")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "Threads")->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--repeats", options.repeats, "Measurements, of which the medians are printed")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--json", options.json, "Print one JSON object");
  CLI11_PARSE(app, argc, argv);
  const absl::StatusOr<nlohmann::ordered_json> result = Measure(options);
  if (!result.ok()) {
    std::cerr << "head_bench: " << std::string(result.status().message()) << "\n";
    return 1;
  }
  if (options.json) {
    std::cout << result->dump() << "\n";
    return 0;
  }
  for (const auto& [name, value] : result->items()) std::printf("%-14s %9.3f\n", name.c_str(), value.get<double>());
  return 0;
}

}  // namespace
}  // namespace arcshard::head

int main(int argc, char** argv) { return arcshard::head::Main(argc, argv); }
