#include "coordinator/policy/schedule.h"

#include <cassert>
#include <cmath>
#include <numbers>

#include "absl/strings/str_cat.h"

namespace arcshard::coordinator {

absl::Status Schedule::Validate(const RunConfig::Schedule& config) {
  if (config.kind == "polynomial" || config.kind == "steps" || config.kind == "cosine") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("schedule.kind is '", config.kind, "'; it must be polynomial, steps or cosine"));
}

Schedule::Schedule(const RunConfig::Schedule& config, uint64_t steps_per_epoch, uint64_t total_steps)
    : config_(config),
      steps_per_epoch_(static_cast<double>(steps_per_epoch)),
      warmup_steps_(std::round(config.warmup_epochs * steps_per_epoch_)),
      total_steps_(static_cast<double>(total_steps)) {
  assert(steps_per_epoch >= 1 && total_steps >= 1);
}

double Schedule::LearningRate(uint64_t step) const {
  assert(step >= 1);
  const double t = static_cast<double>(step);
  if (t <= warmup_steps_) return config_.warmup_end_lr.value_or(config_.lr) * t / warmup_steps_;
  if (config_.kind == "steps") {
    double lr = config_.lr;
    for (const double drop_epoch : config_.drop_epochs) {
      if (t - 1 >= std::round(drop_epoch * steps_per_epoch_)) lr *= config_.drop_factor;
    }
    return lr;
  }
  const double p = (t - 1 - warmup_steps_) / (total_steps_ - warmup_steps_);
  const double share =
      config_.kind == "cosine" ? 0.5 * (1.0 + std::cos(std::numbers::pi * p)) : std::pow(1.0 - p, config_.power);
  return config_.end_lr + (config_.lr - config_.end_lr) * share;
}

}  // namespace arcshard::coordinator
