#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "common/config/run_config.h"

namespace arcshard::coordinator {

// The learning rate of every step t, a pure function of t, which counts from 1. With W = the steps in warmup_epochs,
// T = the steps of the run, and p = (t - 1 - W)/(T - W), the share of the steps after warm-up that precede step t:
//
//   t <= W       warmup_end_lr·t/W, where auto is lr
//   polynomial   end_lr + (lr - end_lr)·(1 - p)^power
//   cosine       end_lr + (lr - end_lr)·(1 + cos(pi·p))/2
//   steps        lr·drop_factor^(number of drop_epochs <= (t - 1)/steps_per_epoch)
class Schedule {
 public:
  // InvalidArgument: `config.kind` is not one of these.
  static absl::Status Validate(const RunConfig::Schedule& config);

  // Requires: `config` is valid, and both counts are at least 1.
  Schedule(const RunConfig::Schedule& config, uint64_t steps_per_epoch, uint64_t total_steps);

  double LearningRate(uint64_t step) const;

 private:
  RunConfig::Schedule config_;
  double steps_per_epoch_;
  double warmup_steps_;
  double total_steps_;
};

}  // namespace arcshard::coordinator
