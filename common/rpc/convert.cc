#include "common/rpc/convert.h"

#include <limits>

#include "common/base/status_macros.h"

namespace arcshard {

v1::View ToProto(const View& view) {
  v1::View out;
  out.set_incarnation(view.incarnation);
  out.set_counter(view.counter);
  return out;
}

View FromProto(const v1::View& view) { return {view.incarnation(), view.counter()}; }

v1::Key ToProto(const Key& key) {
  v1::Key out;
  *out.mutable_view() = ToProto(key.view);
  out.set_step(key.step);
  out.set_micro_batch(key.micro_batch);
  out.set_attempt(key.attempt);
  return out;
}

absl::StatusOr<Key> FromProto(const v1::Key& key) {
  if (!key.has_view()) return absl::InvalidArgumentError("key.view is missing");
  return Key{FromProto(key.view()), key.step(), key.micro_batch(), key.attempt()};
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

v1::Decision ToProto(const Decision& decision) {
  v1::Decision out;
  *out.mutable_view() = ToProto(decision.view);
  out.set_step(decision.step);
  out.set_outcome(decision.outcome == Outcome::kCommit ? v1::Decision::OUTCOME_COMMIT : v1::Decision::OUTCOME_SKIP);
  out.set_lr(decision.lr);
  *out.mutable_next() = ToProto(decision.next);
  return out;
}

absl::StatusOr<Decision> FromProto(const v1::Decision& decision) {
  if (!decision.has_view()) return absl::InvalidArgumentError("decision.view is missing");
  if (decision.outcome() != v1::Decision::OUTCOME_COMMIT && decision.outcome() != v1::Decision::OUTCOME_SKIP) {
    return absl::InvalidArgumentError(
        absl::StrCat("decision.outcome ", static_cast<int>(decision.outcome()), " is not known"));
  }
  ASSIGN_OR_RETURN(Next next, FromProto(decision.next()));
  return Decision{FromProto(decision.view()), decision.step(),
                  decision.outcome() == v1::Decision::OUTCOME_COMMIT ? Outcome::kCommit : Outcome::kSkip, decision.lr(),
                  std::move(next)};
}

v1::ViewAnnouncement ToProto(const ViewAnnouncement& announcement) {
  v1::ViewAnnouncement out;
  *out.mutable_view() = ToProto(announcement.view);
  out.set_num_classes(announcement.num_classes);
  for (const ShardMember& shard : announcement.shards) {
    v1::ShardMember* member = out.add_shards();
    member->set_id(shard.id);
    member->set_address(shard.address);
    member->mutable_range()->set_begin(shard.range.begin);
    member->mutable_range()->set_end(shard.range.end);
  }
  for (const WorkerMember& worker : announcement.workers) {
    v1::WorkerMember* member = out.add_workers();
    member->set_id(worker.id);
    member->set_rendezvous(worker.rendezvous);
    member->set_token(worker.token);
  }
  for (const Standing& standing : announcement.standing) {
    v1::Standing* member = out.add_standing();
    member->set_micro_batch(standing.micro_batch);
    member->set_worker(standing.worker);
    member->set_attempt(standing.attempt);
  }
  out.set_last_decided_step(announcement.last_decided_step);
  out.set_checkpoint(announcement.checkpoint);
  return out;
}

absl::StatusOr<ViewAnnouncement> FromProto(const v1::ViewAnnouncement& announcement) {
  if (!announcement.has_view()) return absl::InvalidArgumentError("view announcement without a view");
  ViewAnnouncement out;
  out.view = FromProto(announcement.view());
  out.num_classes = announcement.num_classes();
  out.last_decided_step = announcement.last_decided_step();
  out.checkpoint = announcement.checkpoint();
  int64_t covered = 0;
  for (const v1::ShardMember& shard : announcement.shards()) {
    const ClassRange range{shard.range().begin(), shard.range().end()};
    if (range.begin != covered || range.end < range.begin) {
      return absl::InvalidArgumentError(absl::StrCat("the class range [", range.begin, ", ", range.end, ") of shard ",
                                                     shard.id(), " does not begin at ", covered));
    }
    covered = range.end;
    out.shards.push_back({shard.id(), shard.address(), range});
  }
  if (covered != out.num_classes || covered == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the shards' ranges cover ", covered, " of ", out.num_classes, " classes"));
  }
  for (const v1::WorkerMember& worker : announcement.workers())
    out.workers.push_back({worker.id(), worker.rendezvous(), worker.token()});
  if (out.workers.empty()) return absl::InvalidArgumentError("a view without workers");
  for (const v1::Standing& s : announcement.standing())
    out.standing.push_back({s.micro_batch(), s.worker(), s.attempt()});
  return out;
}

}  // namespace arcshard
