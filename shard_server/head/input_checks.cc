#include "shard_server/head/input_checks.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::head {
namespace {

constexpr int64_t kMaxClasses = int64_t{1} << 40;
constexpr int64_t kMaxDim = 65536;
constexpr int kMaxThreads = 1024;
constexpr int64_t kMaxSamples = int64_t{1} << 24;  // in a group: BLAS counts in 32 bits
constexpr float kMaxScale = 80.0f;                 // beyond it exp(l - a) leaves the range of float32

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

absl::Status CheckWeightDecay(float weight_decay) {
  if (std::isfinite(weight_decay) && weight_decay >= 0.0f) return absl::OkStatus();
  return Invalid("weight_decay is ", weight_decay, "; it must be finite and at least 0");
}

absl::Status CheckOptimizer(const SgdOptions& sgd) {
  if (!(std::isfinite(sgd.momentum) && sgd.momentum >= 0.0f)) {
    return Invalid("momentum is ", sgd.momentum, "; it must be finite and at least 0");
  }
  return CheckWeightDecay(sgd.weight_decay);
}

absl::Status CheckOptimizer(const AdamWOptions& adamw) {
  if (!(adamw.beta1 >= 0.0 && adamw.beta1 < 1.0)) return Invalid("beta1 is ", adamw.beta1, "; it must be in [0, 1)");
  if (!(adamw.beta2 >= 0.0 && adamw.beta2 < 1.0)) return Invalid("beta2 is ", adamw.beta2, "; it must be in [0, 1)");
  if (!(std::isfinite(adamw.epsilon) && adamw.epsilon > 0.0f)) {
    return Invalid("epsilon is ", adamw.epsilon, "; it must be finite and above 0: it divides where a gradient is 0");
  }
  return CheckWeightDecay(adamw.weight_decay);
}

absl::Status CheckRange(const HeadOptions& options, ClassRange range) {
  if (options.range.begin <= range.begin && range.begin <= range.end && range.end <= options.range.end) {
    return absl::OkStatus();
  }
  return Invalid("rows [", range.begin, ", ", range.end, ") are not inside this shard's range [", options.range.begin,
                 ", ", options.range.end, ")");
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
  if (!(options.filter >= -1.0f && options.filter <= 1.0f)) {
    return Invalid("filter is ", options.filter,
                   "; it must be in [-1, 1], a cosine above which negatives are left out");
  }
  if (!(options.sample_rate > 0.0 && options.sample_rate <= 1.0)) {
    return Invalid("sample_rate is ", options.sample_rate, "; it must be in (0, 1]");
  }
  RETURN_IF_ERROR(std::visit([](const auto& optimizer) { return CheckOptimizer(optimizer); }, options.optimizer));
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
  return CheckSamples(SamplesOf(group));
}

absl::Status CheckRows(const HeadOptions& options, ClassRange range, MatrixView<const float> rows) {
  RETURN_IF_ERROR(CheckRange(options, range));
  if (rows.rows != range.size() || rows.cols != options.dim) {
    return Invalid("rows [", range.begin, ", ", range.end, ") have the shape ", range.size(), "x", options.dim,
                   ", but the matrix given has ", rows.rows, "x", rows.cols);
  }
  return absl::OkStatus();
}

absl::Status CheckBegin(const HeadOptions& options, uint64_t step, absl::Span<const int64_t> labels) {
  if (step == 0) return Invalid("steps are numbered from 1");
  if (options.sample_rate == 1.0) return absl::OkStatus();
  for (const int64_t label : labels) {
    if (label < 0 || label >= options.num_classes) {
      return Invalid("step ", step, " was begun with label ", label, ", which is not in [0, ", options.num_classes,
                     ")");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMoment(const HeadOptions& options, int moment) {
  if (moment >= 0 && moment < options.num_moments()) return absl::OkStatus();
  return Invalid("there is no moment ", moment, ": the optimizer has ", options.num_moments());
}

absl::Status CheckCounts(const HeadOptions& options, ClassRange range, int64_t counts) {
  if (options.num_moments() == 1) return absl::FailedPreconditionError("SGD counts no steps");
  RETURN_IF_ERROR(CheckRange(options, range));
  if (counts == range.size()) return absl::OkStatus();
  return Invalid("rows [", range.begin, ", ", range.end, ") have ", range.size(), " step counts, but ", counts,
                 " were given");
}

absl::Status CheckHeld(const HeadOptions& options, RowPart part, ClassRange range, size_t bytes) {
  RETURN_IF_ERROR(CheckRange(options, range));
  const int64_t held = HeldBytes(options, part);
  if (held == 0) return Invalid("the optimizer holds no part ", static_cast<int>(part), " of a class");
  if (static_cast<int64_t>(bytes) == held * range.size()) return absl::OkStatus();
  return Invalid("rows [", range.begin, ", ", range.end, ") are held in ", held * range.size(), " bytes, but room for ",
                 bytes, " was given");
}

absl::Status CheckAnnounced(const LabelSet& announced, uint64_t step, size_t micro_batch,
                            absl::Span<const int64_t> labels) {
  for (const int64_t label : labels) {
    if (announced.Contains(label)) continue;
    return Invalid("micro-batch ", micro_batch, " of the group has label ", label,
                   ", which was not among those that step ", step, " was begun with: they say which classes take part");
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
