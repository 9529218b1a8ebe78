#include "bench/head_floor.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/gpu_floor.h"
#include "bench/measure.h"
#include "bench/products.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/kernels/vectorised.h"
#include "shard_server/head/cpu/worker_pool.h"

namespace arcshard::bench {
namespace {

using head::Buffer;
using head::DataType;
using head::HeadOptions;
using head::Nearest;

constexpr int64_t kBlockRows[] = {256, 512, 1024};
constexpr int64_t kMostBlockRows = 1024;
constexpr int64_t kTrialRows = 4096;  // rows for each thread while routines are compared

// C: compute type; W, M: stored types of weights and moments.
template <typename C, typename W, typename M>
class TypedFloor final : public HeadFloor {
 public:
  TypedFloor(const HeadOptions& options, int64_t batch, std::vector<int64_t> active_rows)
      : options_(options),
        batch_(batch + batch % 2),
        dim_(options.dim + options.dim % 2),
        rows_(std::move(active_rows)),
        pool_(options.threads),
        scratch_(static_cast<size_t>(options.threads)) {
    const double needed = static_cast<double>(rows_.size()) * static_cast<double>(batch) * sizeof(C);
    recomputed_share_ = needed > 0 ? 1.0 - std::min(1.0, static_cast<double>(options.exp_budget_bytes) / needed) : 0.0;
  }

  absl::Status Allocate() {
    const int64_t size = options_.num_classes * options_.dim;
    RETURN_IF_ERROR(Fill(&weights_, size, "W"));
    for (int moment = 0; moment < options_.num_moments(); ++moment) RETURN_IF_ERROR(Fill(&moments_[moment], size, "V"));
    RETURN_IF_ERROR(Fill(&embedding_, batch_ * dim_, "E"));
    for (Scratch& own : scratch_) {
      RETURN_IF_ERROR(Fill(&own.w, (kMostBlockRows + 1) * dim_, "a block of W"));
      RETURN_IF_ERROR(Fill(&own.q, (kMostBlockRows + 1) * batch_, "Q"));
      RETURN_IF_ERROR(Fill(&own.s, (kMostBlockRows + 1) * batch_, "S"));
      RETURN_IF_ERROR(Fill(&own.u, batch_ * dim_, "U"));
      RETURN_IF_ERROR(Fill(&own.h, (kMostBlockRows + 1) * dim_, "H"));
    }
    return absl::OkStatus();
  }

  void ChooseFastest() {
    const std::vector<Routine<C>> routines = Routines<C>();
    double best = 0.0;
    std::pair<Routine<C>, int64_t> fastest;
    for (const Routine<C>& routine : routines) {
      for (const int64_t block_rows : kBlockRows) {
        routine_ = routine;
        block_rows_ = block_rows;
        std::vector<double> times;
        for (int repeat = 0; repeat < 4; ++repeat) {
          const double time =
              Time(options_.threads, [&] { RunProducts(kTrialRows * options_.threads); }).cpu_per_thread;
          if (repeat > 0) times.push_back(time);  // the first one only warms up
        }
        if (fastest.second == 0 || Median(times) < best) {
          best = Median(times);
          fastest = {routine, block_rows};
        }
      }
    }
    std::tie(routine_, block_rows_) = fastest;
  }

  absl::Status Products() override {
    RunProducts(static_cast<int64_t>(rows_.size()));
    return absl::OkStatus();
  }

  absl::Status Stream() override {
    pool_.Run([this](int thread) {
      const float* const g = scratch_[static_cast<size_t>(thread)].h.data();
      const auto [begin, end] = RangeOf(thread, static_cast<int64_t>(rows_.size()));
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = rows_[static_cast<size_t>(i)] * options_.dim;
        if (options_.num_moments() == 1) {
          SgdRow(options_.dim, g, weights_.data() + at, moments_[0].data() + at);
        } else {
          TwoMomentsRow(options_.dim, g, weights_.data() + at, moments_[0].data() + at, moments_[1].data() + at);
        }
      }
    });
    return absl::OkStatus();
  }

  absl::Status Read() override {
    if constexpr (!std::is_same_v<C, W>) {
      pool_.Run([this](int thread) {
        C* const block = scratch_[static_cast<size_t>(thread)].w.data();
        const auto [begin, end] = RangeOf(thread, static_cast<int64_t>(rows_.size()));
        for (int64_t i = begin; i < end; ++i) {
          ConvertRow(options_.dim, weights_.data() + rows_[static_cast<size_t>(i)] * options_.dim,
                     block + (i - begin) % block_rows_ * dim_);
        }
      });
    }
    return absl::OkStatus();
  }

  std::string routine() const override {
    if (routine_.rows_of_call == 0) return routine_.name;
    return absl::StrCat(routine_.name, ", ", routine_.rows_of_call, " rows a call");
  }
  int64_t block_rows() const override { return block_rows_; }
  double recomputed_share() const override { return recomputed_share_; }

 private:
  struct Scratch {
    Buffer<C> w, q;
    Buffer<float> s, u, h;
  };

  template <typename T>
  static absl::Status Fill(Buffer<T>* buffer, int64_t size, const char* what) {
    RETURN_IF_ERROR(buffer->Reserve(size, what));
    std::fill_n(buffer->data(), size, Nearest<T>(0.01f));
    return absl::OkStatus();
  }

  std::pair<int64_t, int64_t> RangeOf(int thread, int64_t rows) const {
    return {rows * thread / options_.threads, rows * (thread + 1) / options_.threads};
  }

  // The products over the first `rows` classes that take part, or all if there are fewer.
  void RunProducts(int64_t rows) {
    rows = std::min<int64_t>(rows, static_cast<int64_t>(rows_.size()));
    pool_.Run([this, rows](int thread) {
      Scratch& own = scratch_[static_cast<size_t>(thread)];
      const auto [begin, end] = RangeOf(thread, rows);
      const int64_t recomputed_from = end - static_cast<int64_t>(recomputed_share_ * static_cast<double>(end - begin));
      for (int64_t row = begin; row < end; row += block_rows_) {
        const int64_t n = std::min(block_rows_, end - row);
        Cosines(n, row, own);
        // U <- U + Q^T·W
        Multiply({.m = batch_, .n = dim_, .k = n + n % 2, .a_transposed = true, .accumulate = true}, own.q.data(),
                 BlockOf(row, own), own.u.data());
      }
      for (int64_t row = begin; row < end; row += block_rows_) {
        const int64_t n = std::min(block_rows_, end - row);
        if (row + n > recomputed_from) Cosines(n, row, own);
        // H <- Q·E
        Multiply({.m = n, .n = dim_, .k = batch_}, own.q.data(), embedding_.data(), own.h.data());
      }
      ReleaseProducts();
    });
  }

  // S <- W·E^T
  void Cosines(int64_t n, int64_t row, Scratch& own) {
    Multiply({.m = n, .n = batch_, .k = dim_, .b_transposed = true}, BlockOf(row, own), embedding_.data(),
             own.s.data());
  }
  void Multiply(const Product& product, const C* a, const C* b, float* c) const {
    routine_.multiply(product, routine_.rows_of_call, a, b, c);
  }

  // The weights of a block in the compute type: in place where they are stored in it. Otherwise this is a converted
  // block in cache; Read measures the conversion.
  const C* BlockOf(int64_t row, const Scratch& own) const {
    if constexpr (std::is_same_v<C, W>) {
      if (dim_ == options_.dim && row + kMostBlockRows < options_.num_classes) return weights_.data() + row * dim_;
    }
    return own.w.data();
  }

  ARCSHARD_VECTORISED static void SgdRow(int64_t dim, const float* __restrict g, W* __restrict w, M* __restrict v) {
    for (int64_t d = 0; d < dim; ++d) {
      const float moment = 0.9f * Widen(v[d]) + g[d];
      v[d] = Nearest<M>(moment);
      w[d] = Nearest<W>(Widen(w[d]) - 0.1f * moment);
    }
  }
  ARCSHARD_VECTORISED static void TwoMomentsRow(int64_t dim, const float* __restrict g, W* __restrict w,
                                                M* __restrict m, M* __restrict v) {
    for (int64_t d = 0; d < dim; ++d) {
      const float moment = 0.9f * Widen(m[d]) + g[d];
      m[d] = Nearest<M>(moment);
      v[d] = Nearest<M>(0.9f * Widen(v[d]) + g[d] * g[d]);
      w[d] = Nearest<W>(Widen(w[d]) - 0.1f * moment);
    }
  }
  ARCSHARD_VECTORISED static void ConvertRow(int64_t dim, const W* __restrict from, C* __restrict to) {
    for (int64_t d = 0; d < dim; ++d) to[d] = Nearest<C>(Widen(from[d]));
  }

  const HeadOptions options_;
  const int64_t batch_, dim_;  // even
  const std::vector<int64_t> rows_;
  head::WorkerPool pool_;
  double recomputed_share_ = 0.0;
  Routine<C> routine_;
  int64_t block_rows_ = kMostBlockRows;
  Buffer<W> weights_;     // N×D
  Buffer<M> moments_[2];  // N×D
  Buffer<C> embedding_;   // B×D
  std::vector<Scratch> scratch_;
};

template <typename C, typename W, typename M>
absl::StatusOr<std::unique_ptr<HeadFloor>> Make(const HeadOptions& options, int64_t batch, std::vector<int64_t> rows) {
  auto floor = std::make_unique<TypedFloor<C, W, M>>(options, batch, std::move(rows));
  RETURN_IF_ERROR(floor->Allocate());
  floor->ChooseFastest();
  return floor;
}

template <typename C, typename W, typename... Arguments>
absl::StatusOr<std::unique_ptr<HeadFloor>> MakeOfMoments(const HeadOptions& options, Arguments... arguments) {
  return options.moments == DataType::kFloat32 ? Make<C, W, float>(options, std::move(arguments)...)
                                               : Make<C, W, Bfloat16>(options, std::move(arguments)...);
}

template <typename C, typename... Arguments>
absl::StatusOr<std::unique_ptr<HeadFloor>> MakeOfWeights(const HeadOptions& options, Arguments... arguments) {
  return options.weights == DataType::kFloat32 ? MakeOfMoments<C, float>(options, std::move(arguments)...)
                                               : MakeOfMoments<C, Bfloat16>(options, std::move(arguments)...);
}

}  // namespace

absl::StatusOr<std::unique_ptr<HeadFloor>> HeadFloor::Create(const HeadOptions& options, int64_t batch,
                                                             std::vector<int64_t> active_rows) {
  if (options.device == head::Device::kCuda) {
    return CreateGpuFloor(options, batch, static_cast<int64_t>(active_rows.size()));
  }
  return options.compute == DataType::kFloat32 ? MakeOfWeights<float>(options, batch, std::move(active_rows))
                                               : MakeOfWeights<Bfloat16>(options, batch, std::move(active_rows));
}

}  // namespace arcshard::bench
