#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "common/protocol/types.h"

namespace arcshard {

// Which samples each step of the run takes, and when the run evaluates and ends. All of it is a pure function of the
// step's number, so a resumed run needs no other state.
class SamplePlan {
 public:
  struct Options {
    uint64_t samples = 0;                // in the training set
    uint32_t batch_size = 0;             // samples in a step, at least 2
    uint32_t micro_batch_size = 0;       // at least 2
    bool keep_last_batch = false;        // keep an epoch's incomplete last batch, instead of dropping it
    double epochs = 0.0;                 // length of the run, above 0
    double evaluate_every_epochs = 0.0;  // 0: not by epochs; an evaluation always follows the last step
    uint64_t evaluate_every_steps = 0;   // 0: not by steps
  };

  // InvalidArgument: an option is out of range, or the batch is larger than the training set.
  static absl::StatusOr<SamplePlan> Create(const Options& options);

  // The step's slice of its epoch's permutation, cut into micro-batches of micro_batch_size. A single sample has no
  // variance, so a last micro-batch of one joins the one before, and if batches are kept, so does an epoch's last batch
  // of one: the batch before has one sample more. Requires step >= 1.
  StepPlan PlanOf(uint64_t step) const;

  uint64_t steps_per_epoch() const { return steps_per_epoch_; }
  uint64_t total_steps() const { return total_steps_; }
  // Whether an evaluation follows step `step`; 0 is the state before the first step.
  bool EvaluationDueAfter(uint64_t step) const;
  // How many evaluations follow later steps.
  uint64_t EvaluationsAfter(uint64_t step) const;
  double EpochsAfter(uint64_t step) const { return static_cast<double>(step) / static_cast<double>(steps_per_epoch_); }

 private:
  explicit SamplePlan(const Options& options);
  bool EvaluationDueByEpochsAfter(uint64_t step) const;  // 0 < step < total_steps
  double StepsBetweenEvaluations() const;

  Options options_;
  uint64_t steps_per_epoch_ = 0;
  uint64_t total_steps_ = 0;
};

// The plan of the run that `config` describes, over a training set of `samples` samples. The coordinator and the
// workers, which load ahead, use the same plan. Errors are those of SamplePlan::Create.
absl::StatusOr<SamplePlan> SamplePlanOf(const RunConfig& config, uint64_t samples);

// The most samples that a step of the run may have.
uint32_t MostSamplesOfAStep(const RunConfig& config);

}  // namespace arcshard
