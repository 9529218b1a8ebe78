#include "shard_server/product_choice.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace arcshard::shard {
namespace {

using head::Bfloat16Products;

// Wide enough that on one machine the choice is nearly always the same.
constexpr double kClearlyFaster = 0.8;

}  // namespace

Bfloat16Products ChooseProducts(const RunConfig& config, const head::ProductTimes& times) {
  if (config.run.deterministic || config.run.record) return Bfloat16Products::kNative;
  return times.widened < kClearlyFaster * times.bfloat16 ? Bfloat16Products::kWidened : Bfloat16Products::kNative;
}

std::string NoteOnProducts(const RunConfig& config, const head::ProductTimes& times) {
  const bool native = ChooseProducts(config, times) == Bfloat16Products::kNative;
  const absl::Duration bfloat16 = native && times.bfloat16 < absl::InfiniteDuration() ? times.bfloat16 : times.widened;
  if (bfloat16 <= times.float32) return "";
  return absl::StrFormat(
      "head.compute is bfloat16, but on this CPU float32 is faster: the products of %d classes, %d samples and %d "
      "dimensions take %.2f ms in float32, %.2f ms in bfloat16",
      times.rows, times.samples, times.dim, absl::ToDoubleMilliseconds(times.float32),
      absl::ToDoubleMilliseconds(bfloat16));
}

head::ProductTimes MeasureProducts(const RunConfig& config, const Clock& clock) {
  const int64_t samples = config.run.deterministic ? config.data.micro_batch_size : config.data.batch_size;
  return head::MeasureProducts(config.backbone.embedding_size, samples, clock);
}

}  // namespace arcshard::shard
