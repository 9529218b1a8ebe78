#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/class_range.h"
#include "common/config/run_config.h"
#include "common/protocol/types.h"
#include "coordinator/members/member.h"
#include "coordinator/policy/checkpoint_base.h"
#include "coordinator/policy/choose_state.h"
#include "coordinator/policy/form_view.h"
#include "coordinator/policy/resume.h"
#include "coordinator/run/run_state.h"

namespace arcshard::coordinator {

// Forms the run's views, one after another: numbers, class ranges, which stay what they were, and from which state each
// goes on. Not thread-safe.
class Views {
 public:
  struct NextView {
    SharedView view;
    ChosenState chosen;
  };

  // resume: where this life of the run began; null: from the first weights. All that is passed outlives it.
  Views(const RunConfig* config, uint64_t incarnation, const ResumePoint* resume)
      : config_(config), incarnation_(incarnation), resume_(resume) {}

  // The view that `members` would form, at least one of each role, whose workers' data sets are known and equal. `at`:
  // how far the run has come. The errors are those of FormView.
  absl::StatusOr<NextView> Form(const std::vector<const Member*>& members, const Position& at,
                                const CheckpointBase& base) const;
  // It is the run's view from now on.
  void Take(const NextView& next);

  View newest() const { return {incarnation_, count_}; }  // counter 0: there was none
  bool any() const { return count_ > 0; }
  const std::vector<ClassRange>& ranges() const {
    return ranges_;
  }  // of the shards, by id; empty before the first view

  // In the next view no shard uses another one's log, because of `why`.
  void DistrustLogs(std::string why) { log_problem_ = std::move(why); }

 private:
  std::vector<ClassRange> RangesBefore(const std::vector<const Member*>& members, int64_t num_classes) const;

  const RunConfig* const config_;
  const uint64_t incarnation_;
  const ResumePoint* const resume_;
  uint64_t count_ = 0;
  std::vector<ClassRange> ranges_;
  std::string log_problem_;
};

}  // namespace arcshard::coordinator
