#include "shard_server/head/input_checks.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::head {
namespace {

constexpr int64_t kMaxClasses = int64_t{1} << 40;
constexpr int64_t kMaxDim = 65536;
constexpr int kMaxThreads = 1024;
constexpr int64_t kMaxSamples = int64_t{1} << 24;  // of a group: BLAS counts in 32 bits
constexpr float kMaxScale = 80.0f;                 // beyond it a logit's exponential leaves float32

template <typename... Pieces>
absl::Status Invalid(const Pieces&... pieces) {
  return absl::InvalidArgumentError(absl::StrCat(pieces...));
}

absl::Status CheckInput(const HeadOptions& options, const ForwardInput& input, size_t micro_batch) {
  const MatrixView<const float>& embedding = input.embedding;
  if (embedding.cols != options.dim || embedding.rows != static_cast<int64_t>(input.labels.size())) {
    return Invalid("micro-batch ", micro_batch, " of the group has embeddings of shape ", embedding.rows, "x",
                   embedding.cols, "; with its ", input.labels.size(), " labels and the head's ", options.dim,
                   " dimensions it must be ", input.labels.size(), "x", options.dim);
  }
  for (size_t i = 0; i < input.labels.size(); ++i) {
    if (input.labels[i] < 0 || input.labels[i] >= options.num_classes) {
      return Invalid("sample ", i, " of micro-batch ", micro_batch, " of the group has label ", input.labels[i],
                     ", which is not in [0, ", options.num_classes, ")");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckOutput(const HeadOptions& options, const ForwardOutput& output, int64_t samples, size_t micro_batch) {
  const auto fits = [&](const MatrixView<float>& m) { return m.rows == samples && m.cols == options.dim; };
  if (static_cast<int64_t>(output.z.size()) == samples && fits(output.u) && fits(output.own_centers)) {
    return absl::OkStatus();
  }
  return Invalid("the outputs of micro-batch ", micro_batch, " of the group have z of ", output.z.size(), ", U of ",
                 output.u.rows, "x", output.u.cols, " and own centers of ", output.own_centers.rows, "x",
                 output.own_centers.cols, "; they must be ", samples, ", ", samples, "x", options.dim, " and ", samples,
                 "x", options.dim);
}

absl::Status CheckSamples(int64_t samples) {
  if (samples <= kMaxSamples) return absl::OkStatus();
  return Invalid("a group of ", samples, " samples is larger than ", kMaxSamples);
}

template <typename Input>
int64_t SumOfRows(absl::Span<const Input> group, const ForwardInput& (*forward_of)(const Input&)) {
  int64_t samples = 0;
  for (const Input& input : group) samples += forward_of(input).embedding.rows;
  return samples;
}

}  // namespace

absl::Status CheckOptions(const HeadOptions& options) {
  if (options.num_classes < 1 || options.num_classes > kMaxClasses) {
    return Invalid("num_classes is ", options.num_classes, "; it must be in [1, ", kMaxClasses, "]");
  }
  const ClassRange& range = options.range;
  if (range.begin < 0 || range.begin > range.end || range.end > options.num_classes) {
    return Invalid("range is [", range.begin, ", ", range.end, "); it must lie in [0, ", options.num_classes, ")");
  }
  if (options.dim < 1 || options.dim > kMaxDim) {
    return Invalid("dim is ", options.dim, "; it must be in [1, ", kMaxDim, "]");
  }
  if (!(options.scale > 0.0f && options.scale <= kMaxScale)) {
    return Invalid("scale is ", options.scale, "; it must be in (0, ", kMaxScale,
                   "]: above, exp(l - a) leaves the range of float32");
  }
  const SgdOptions* const sgd = std::get_if<SgdOptions>(&options.optimizer);
  if (sgd == nullptr) return absl::UnimplementedError("AdamW is not there yet");
  if (!(std::isfinite(sgd->momentum) && sgd->momentum >= 0.0f)) {
    return Invalid("momentum is ", sgd->momentum, "; it must be finite and at least 0");
  }
  if (!(std::isfinite(sgd->weight_decay) && sgd->weight_decay >= 0.0f)) {
    return Invalid("weight_decay is ", sgd->weight_decay, "; it must be finite and at least 0");
  }
  if (options.threads < 1 || options.threads > kMaxThreads) {
    return Invalid("threads is ", options.threads, "; it must be in [1, ", kMaxThreads, "]");
  }
  if (options.exp_budget_bytes < 0) {
    return Invalid("exp_budget_bytes is ", options.exp_budget_bytes, "; it must be at least 0");
  }
  return absl::OkStatus();
}

absl::Status CheckForward(const HeadOptions& options, absl::Span<const ForwardInput> group,
                          absl::Span<const ForwardOutput> outputs) {
  if (group.size() != outputs.size()) {
    return Invalid("a group of ", group.size(), " micro-batches came with ", outputs.size(), " outputs");
  }
  for (size_t i = 0; i < group.size(); ++i) {
    RETURN_IF_ERROR(CheckInput(options, group[i], i));
    RETURN_IF_ERROR(CheckOutput(options, outputs[i], group[i].embedding.rows, i));
  }
  return CheckSamples(SamplesOf(group));
}

absl::Status CheckUpdateGroup(const HeadOptions& options, absl::Span<const UpdateInput> group) {
  for (size_t i = 0; i < group.size(); ++i) {
    RETURN_IF_ERROR(CheckInput(options, group[i].forward, i));
    const size_t samples = group[i].forward.labels.size();
    if (group[i].r.size() != samples || group[i].t.size() != samples) {
      return Invalid("micro-batch ", i, " of the group has ", samples, " samples, but ", group[i].r.size(),
                     " values of r and ", group[i].t.size(), " of t");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRows(const HeadOptions& options, ClassRange range, MatrixView<const float> rows) {
  if (range.begin < options.range.begin || range.begin > range.end || range.end > options.range.end) {
    return Invalid("rows [", range.begin, ", ", range.end, ") are not inside this shard's range [", options.range.begin,
                   ", ", options.range.end, ")");
  }
  if (rows.rows != range.size() || rows.cols != options.dim) {
    return Invalid("rows [", range.begin, ", ", range.end, ") have the shape ", range.size(), "x", options.dim,
                   ", but the matrix given has ", rows.rows, "x", rows.cols);
  }
  return absl::OkStatus();
}

int64_t SamplesOf(absl::Span<const ForwardInput> group) {
  return SumOfRows<ForwardInput>(group, [](const ForwardInput& input) -> const ForwardInput& { return input; });
}

int64_t SamplesOf(absl::Span<const UpdateInput> group) {
  return SumOfRows<UpdateInput>(group, [](const UpdateInput& input) -> const ForwardInput& { return input.forward; });
}

}  // namespace arcshard::head
