#include "shard_server/head/head.h"

#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cpu/class_store.h"
#include "shard_server/head/cpu/cpu_head.h"
#include "shard_server/head/cpu/row_store.h"
#include "shard_server/head/gpu.h"
#include "shard_server/head/input_checks.h"

namespace arcshard::head {
namespace {

int64_t StateBytes(const HeadOptions& options) { return options.range.size() * ClassStore::BytesPerClass(options); }

absl::Status CheckCapacity(const HeadOptions& options, int64_t capacity_bytes) {
  const int64_t state = StateBytes(options);
  if (state <= capacity_bytes && options.exp_budget_bytes <= capacity_bytes - state) return absl::OkStatus();
  constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
  return absl::ResourceExhaustedError(absl::StrFormat(
      "the range [%d, %d) of %d classes with %d dimensions needs %d bytes (%.3f GiB) for weights, moments and inverse "
      "norms and %d bytes (%.3f GiB) for kept exponentials, but this shard's capacity is %d bytes (%.3f GiB)",
      options.range.begin, options.range.end, options.num_classes, options.dim, state,
      static_cast<double>(state) / kGiB, options.exp_budget_bytes, static_cast<double>(options.exp_budget_bytes) / kGiB,
      capacity_bytes, static_cast<double>(capacity_bytes) / kGiB));
}

}  // namespace

int64_t HeldBytes(const HeadOptions& options, RowPart part) {
  switch (part) {
    case RowPart::kWeights:
      return options.dim * BytesOf(options.weights);
    case RowPart::kMoment0:
      return options.dim * BytesOf(options.moments);
    case RowPart::kMoment1:
      return options.num_moments() == 2 ? options.dim * BytesOf(options.moments) : 0;
    case RowPart::kCounts:
      return options.num_moments() == 2 ? static_cast<int64_t>(sizeof(uint32_t)) : 0;
  }
  return 0;
}

int64_t Head::RequiredBytes(const HeadOptions& options) { return StateBytes(options) + options.exp_budget_bytes; }

absl::StatusOr<std::unique_ptr<Head>> Head::Create(const HeadOptions& options, int64_t capacity_bytes) {
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(CheckCapacity(options, capacity_bytes));
  switch (options.device) {
    case Device::kCpu:
      if (options.compute == DataType::kFloat32) return CpuHead<float>::Create(options);
      return CpuHead<Bfloat16>::Create(options);
    case Device::kCuda:
      return CreateGpuHead(options);
  }
  return absl::InvalidArgumentError("device is unknown");
}

}  // namespace arcshard::head
