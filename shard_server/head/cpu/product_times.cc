#include "shard_server/head/cpu/product_times.h"

#include <algorithm>
#include <vector>

#include "shard_server/head/cpu/kernels/blas.h"
#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::head {
namespace {

constexpr int kRounds = 8;  // the first one also generates the processor's kernels
constexpr int64_t kMostRows = 128, kMostSamples = 256;
constexpr int64_t kMostValues = int64_t{1} << 16;  // of the block's centers

template <typename T>
class Products {
 public:
  explicit Products(const BlockShape& shape)
      : shape_(shape),
        centers_(static_cast<size_t>(shape.rows * DepthOf<T>(shape.dim)), Nearest<T>(0.01f)),
        embeddings_(static_cast<size_t>(shape.samples * DepthOf<T>(shape.dim)), Nearest<T>(0.01f)),
        exponentials_(static_cast<size_t>(shape.rows * shape.samples), Nearest<T>(0.01f)),
        sums_(static_cast<size_t>(std::max(shape.rows, shape.samples) * std::max(shape.dim, shape.samples))) {}

  // Multiplies once, and lowers `shortest` to the time that this took.
  void Time(Bfloat16Products bfloat16, const Clock& clock, absl::Duration* shortest) {
    shape_.bfloat16 = bfloat16;
    const MonotonicTime begin = clock.Now();
    ProductOfCosines(shape_, centers_.data(), embeddings_.data(), sums_.data());
    AddWeightedCenters(shape_, exponentials_.data(), centers_.data(), sums_.data());
    ProductOfGradient(shape_, exponentials_.data(), embeddings_.data(), /*accumulate=*/false, sums_.data());
    ReleaseProducts();
    *shortest = std::min(*shortest, clock.Now() - begin);
  }

 private:
  BlockShape shape_;
  std::vector<T> centers_, embeddings_, exponentials_;
  std::vector<float> sums_;
};

}  // namespace

ProductTimes MeasureProducts(int64_t dim, int64_t samples, const Clock& clock) {
  const int64_t rows = std::clamp(kMostValues / dim / kRowUnit * kRowUnit, kRowUnit, kMostRows);
  const BlockShape shape = {rows, RoundedUp(std::clamp<int64_t>(samples, 1, kMostSamples), kRowUnit), dim};
  const SingleThreadedBlas single_threaded;
  Products<float> float32(shape);
  Products<Bfloat16> bfloat16(shape);
  const absl::Duration never = absl::InfiniteDuration();
  ProductTimes times = {shape.rows, shape.samples, dim, never, never, never};
  for (int round = 0; round < kRounds; ++round) {
    float32.Time(Bfloat16Products::kNative, clock, &times.float32);
    if (HasNativeBfloat16()) bfloat16.Time(Bfloat16Products::kNative, clock, &times.bfloat16);
    bfloat16.Time(Bfloat16Products::kWidened, clock, &times.widened);
  }
  return times;
}

}  // namespace arcshard::head
