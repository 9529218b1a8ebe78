#include "common/protocol/sample_plan.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace arcshard {
namespace {

constexpr double kMostSteps = 1e15;  // doubles still represent every step up to here

}  // namespace

absl::StatusOr<SamplePlan> SamplePlan::Create(const Options& options) {
  if (options.batch_size < 2 || options.micro_batch_size < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("data.batch_size is ", options.batch_size, " and data.micro_batch_size ", options.micro_batch_size,
                     "; both must be at least 2, because a single sample has no variance"));
  }
  if (options.batch_size > options.samples) {
    return absl::InvalidArgumentError(absl::StrCat("data.batch_size is ", options.batch_size,
                                                   ", but data.train has only ", options.samples, " samples"));
  }
  const double most_steps = options.epochs * (static_cast<double>(options.samples) / options.batch_size + 1.0);
  if (!(options.epochs > 0.0) || !std::isfinite(options.epochs)) {
    return absl::InvalidArgumentError(
        absl::StrCat("schedule.epochs is ", options.epochs, "; it must be above 0 and finite"));
  }
  if (!(most_steps < kMostSteps)) {
    return absl::InvalidArgumentError(absl::StrCat("schedule.epochs is ", options.epochs, " and data.train has ",
                                                   options.samples, " samples: that makes ", most_steps,
                                                   " steps; at most ", kMostSteps, " can be counted"));
  }
  if (!(options.evaluate_every_epochs >= 0.0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("verification.every_epochs is ", options.evaluate_every_epochs, "; it must not be negative"));
  }
  return SamplePlan(options);
}

SamplePlan::SamplePlan(const Options& options) : options_(options) {
  const bool keeps_one_more = options.keep_last_batch && options.samples % options.batch_size > 1;
  steps_per_epoch_ = options.samples / options.batch_size + (keeps_one_more ? 1 : 0);
  total_steps_ = std::max<uint64_t>(1, std::llround(options.epochs * static_cast<double>(steps_per_epoch_)));
}

StepPlan SamplePlan::PlanOf(uint64_t step) const {
  assert(step >= 1);
  StepPlan plan;
  plan.step = step;
  plan.epoch = (step - 1) / steps_per_epoch_;
  plan.first_sample = (step - 1) % steps_per_epoch_ * options_.batch_size;
  const uint64_t rest = options_.samples - plan.first_sample;
  uint64_t left = std::min<uint64_t>(options_.batch_size, rest);
  if (options_.keep_last_batch && rest == left + 1) ++left;  // a sample that is left over alone
  while (left > 0) {
    const uint32_t size = static_cast<uint32_t>(std::min<uint64_t>(left, options_.micro_batch_size));
    if (size == 1 && !plan.micro_batch_sizes.empty()) {
      ++plan.micro_batch_sizes.back();
    } else {
      plan.micro_batch_sizes.push_back(size);
    }
    left -= size;
  }
  return plan;
}

bool SamplePlan::EvaluationDueAfter(uint64_t step) const {
  if (step == 0) return false;
  if (step >= total_steps_) return true;
  if (options_.evaluate_every_steps > 0 && step % options_.evaluate_every_steps == 0) return true;
  return EvaluationDueByEpochsAfter(step);
}

bool SamplePlan::EvaluationDueByEpochsAfter(uint64_t step) const {
  if (options_.evaluate_every_epochs == 0.0) return false;
  // Evaluations follow the steps nearest to whole multiples of the interval.
  const double interval = StepsBetweenEvaluations();
  const double multiple = std::round(static_cast<double>(step) / interval);
  return multiple >= 1.0 && std::round(multiple * interval) == static_cast<double>(step);
}

uint64_t SamplePlan::EvaluationsAfter(uint64_t step) const {
  if (step >= total_steps_) return 0;
  uint64_t to_come = 1;  // after the last step
  if (const uint64_t every = options_.evaluate_every_steps; every > 0) {
    for (uint64_t due = (step / every + 1) * every; due < total_steps_; due += every) {
      if (!EvaluationDueByEpochsAfter(due)) ++to_come;
    }
  }
  if (options_.evaluate_every_epochs == 0.0) return to_come;
  // How many multiples of the interval have a nearest step that is at most `last`; one half is rounded up.
  const double interval = StepsBetweenEvaluations();
  const auto until = [interval](uint64_t last) {
    double multiple = std::floor((static_cast<double>(last) + 0.5) / interval);
    if (std::round(multiple * interval) > static_cast<double>(last)) --multiple;
    return static_cast<uint64_t>(multiple);
  };
  return until(total_steps_ - 1) - until(step) + to_come;
}

// An interval below one step means every step.
double SamplePlan::StepsBetweenEvaluations() const {
  return std::max(1.0, options_.evaluate_every_epochs * static_cast<double>(steps_per_epoch_));
}

absl::StatusOr<SamplePlan> SamplePlanOf(const RunConfig& config, uint64_t samples) {
  return SamplePlan::Create({.samples = samples,
                             .batch_size = config.data.batch_size,
                             .micro_batch_size = config.data.micro_batch_size,
                             .keep_last_batch = config.data.last_batch == "keep",
                             .epochs = config.schedule.epochs,
                             .evaluate_every_epochs = config.verification.every_epochs,
                             .evaluate_every_steps = config.verification.every_steps});
}

uint32_t MostSamplesOfAStep(const RunConfig& config) {
  return config.data.batch_size + (config.data.last_batch == "keep" ? 1 : 0);
}

}  // namespace arcshard
