#include "common/rpc/convert/convert.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/convert/check_fields.h"

namespace arcshard {
namespace {

constexpr int kMostBestSets = 64;  // verification sets whose names counters carry

bool CanBeNamed(const std::vector<std::string>& sets) {
  if (sets.size() > kMostBestSets) return false;
  for (const std::string& name : sets) {
    if (name.size() > kLongestName) return false;
  }
  return true;
}

}  // namespace

v1::View ToProto(const View& view) {
  v1::View out;
  out.set_incarnation(view.incarnation);
  out.set_counter(view.counter);
  return out;
}

View FromProto(const v1::View& view) { return {view.incarnation(), view.counter()}; }

v1::StatePoint ToProto(const StatePoint& point) {
  v1::StatePoint out;
  out.set_step(point.step);
  out.set_lineage(point.lineage);
  return out;
}

StatePoint FromProto(const v1::StatePoint& point) { return {point.step(), point.lineage()}; }

v1::Key ToProto(const Key& key) {
  v1::Key out;
  *out.mutable_view() = ToProto(key.view);
  out.set_step(key.step);
  out.set_micro_batch(key.micro_batch);
  return out;
}

absl::StatusOr<Key> FromProto(const v1::Key& key) {
  if (!key.has_view()) return Missing("key.view");
  return Key{FromProto(key.view()), key.step(), key.micro_batch()};
}

v1::StepPlan ToProto(const StepPlan& plan) {
  v1::StepPlan out;
  out.set_step(plan.step);
  out.set_epoch(plan.epoch);
  out.set_first_sample(plan.first_sample);
  out.mutable_micro_batch_sizes()->Add(plan.micro_batch_sizes.begin(), plan.micro_batch_sizes.end());
  return out;
}

absl::StatusOr<StepPlan> FromProto(const v1::StepPlan& plan) {
  StepPlan out{plan.step(),
               plan.epoch(),
               plan.first_sample(),
               {plan.micro_batch_sizes().begin(), plan.micro_batch_sizes().end()}};
  if (out.step == 0) return absl::InvalidArgumentError("plan.step is 0; steps count from 1");
  if (out.micro_batch_sizes.empty()) return absl::InvalidArgumentError("plan.micro_batch_sizes is empty");
  uint64_t batch = 0;
  for (const uint32_t size : out.micro_batch_sizes) {
    if (size == 0) return absl::InvalidArgumentError("plan.micro_batch_sizes has a 0");
    batch += size;
  }
  if (batch > std::numeric_limits<uint32_t>::max()) {
    return absl::InvalidArgumentError(absl::StrCat("plan.micro_batch_sizes add up to ", batch, " samples"));
  }
  return out;
}

v1::Next ToProto(const Next& next) {
  v1::Next out;
  out.set_checkpoint(next.checkpoint);
  switch (next.action) {
    case NextAction::kStep:
      out.set_action(v1::Next::ACTION_STEP);
      *out.mutable_plan() = ToProto(next.plan);
      break;
    case NextAction::kEvaluate:
      out.set_action(v1::Next::ACTION_EVALUATE);
      break;
    case NextAction::kStop:
      out.set_action(v1::Next::ACTION_STOP);
      break;
  }
  return out;
}

absl::StatusOr<Next> FromProto(const v1::Next& next) {
  switch (next.action()) {
    case v1::Next::ACTION_STEP: {
      ASSIGN_OR_RETURN(StepPlan plan, FromProto(next.plan()));
      return Next{NextAction::kStep, std::move(plan), next.checkpoint()};
    }
    case v1::Next::ACTION_EVALUATE:
      return Next{NextAction::kEvaluate, {}, next.checkpoint()};
    case v1::Next::ACTION_STOP:
      return Next{NextAction::kStop, {}, next.checkpoint()};
    default:
      return absl::InvalidArgumentError(absl::StrCat("next.action ", static_cast<int>(next.action()), " is not known"));
  }
}

v1::RunCounters ToProto(const RunCounters& counters) {
  v1::RunCounters out;
  out.set_skipped(counters.skipped);
  out.set_skips_in_a_row(counters.skips_in_a_row);
  out.set_corrupt_records(counters.corrupt_records);
  out.set_corrupt_in_epoch(counters.corrupt_in_epoch);
  out.set_verified_step(counters.verified_step);
  out.set_best_accuracy(counters.best.accuracy);
  out.set_best_step(counters.best.step);
  if (!CanBeNamed(counters.best.sets)) return out;
  for (const std::string& name : counters.best.sets) out.add_best_sets(name);
  return out;
}

absl::StatusOr<RunCounters> FromProto(const v1::RunCounters& counters) {
  if (!std::isfinite(counters.best_accuracy())) {
    return absl::InvalidArgumentError(
        absl::StrCat("counters.best_accuracy is ", counters.best_accuracy(), "; it must be finite"));
  }
  RETURN_IF_ERROR(CheckCount("counters.best_sets", counters.best_sets_size(), kMostBestSets));
  for (const std::string& name : counters.best_sets()) RETURN_IF_ERROR(CheckName("counters.best_sets", name));
  return RunCounters{.skipped = counters.skipped(),
                     .skips_in_a_row = counters.skips_in_a_row(),
                     .corrupt_records = counters.corrupt_records(),
                     .corrupt_in_epoch = counters.corrupt_in_epoch(),
                     .verified_step = counters.verified_step(),
                     .best = {.accuracy = counters.best_accuracy(),
                              .step = counters.best_step(),
                              .sets = {counters.best_sets().begin(), counters.best_sets().end()}}};
}

v1::Decision ToProto(const Decision& decision) {
  v1::Decision out;
  *out.mutable_view() = ToProto(decision.view);
  out.set_step(decision.step);
  out.set_outcome(decision.outcome == Outcome::kCommit ? v1::Decision::OUTCOME_COMMIT : v1::Decision::OUTCOME_SKIP);
  out.set_lr(decision.lr);
  *out.mutable_next() = ToProto(decision.next);
  out.set_lineage(decision.lineage);
  *out.mutable_counters() = ToProto(decision.counters);
  return out;
}

absl::StatusOr<Decision> FromProto(const v1::Decision& decision) {
  if (!decision.has_view()) return Missing("decision.view");
  if (decision.outcome() != v1::Decision::OUTCOME_COMMIT && decision.outcome() != v1::Decision::OUTCOME_SKIP) {
    return absl::InvalidArgumentError(
        absl::StrCat("decision.outcome ", static_cast<int>(decision.outcome()), " is not known"));
  }
  ASSIGN_OR_RETURN(Next next, FromProto(decision.next()));
  ASSIGN_OR_RETURN(RunCounters counters, FromProto(decision.counters()));
  return Decision{.view = FromProto(decision.view()),
                  .step = decision.step(),
                  .outcome = decision.outcome() == v1::Decision::OUTCOME_COMMIT ? Outcome::kCommit : Outcome::kSkip,
                  .lr = decision.lr(),
                  .next = std::move(next),
                  .lineage = decision.lineage(),
                  .counters = std::move(counters)};
}

}  // namespace arcshard
