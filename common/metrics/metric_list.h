#pragma once

#include "common/metrics/metrics.h"

// Every metric of arcshard, by the process that serves it. A process makes the one struct of its kind, once.
namespace arcshard {

// Values of labels. One that never occurred is shown as 0 rather than missing, so that a rate over it is defined.
inline constexpr absl::string_view kCommitted = "commit", kSkipped = "skip";      // outcome
inline constexpr absl::string_view kSent = "sent", kReceived = "received";        // direction
inline constexpr absl::string_view kShardRole = "shard", kWorkerRole = "worker";  // role

// Parts of a step, values of `phase`. Worker: data_wait (for a decoded micro-batch), forward, wait_for_shards (for
// statistics), loss, backward, all_reduce, vote (from ready to the decision). Shard: begin (which classes take part),
// pass_1, pass_2. Coordinator: decision (from the first ready vote to the decision).
inline constexpr absl::string_view kDataWait = "data_wait", kForward = "forward", kWaitForShards = "wait_for_shards",
                                   kLossPhase = "loss", kBackward = "backward", kAllReduce = "all_reduce",
                                   kVote = "vote", kBegin = "begin", kPass1 = "pass_1", kPass2 = "pass_2",
                                   kDecision = "decision";

// What every process serves.
struct ProcessMetrics {
  explicit ProcessMetrics(MetricRegistry* registry_for_all) : registry(registry_for_all) {
    for (const absl::string_view outcome : {kCommitted, kSkipped}) steps.With(outcome);
    for (const absl::string_view direction : {kSent, kReceived}) {
      messages.With(direction);
      message_bytes.With(direction);
    }
    build_info.With(BuildVersion()).Set(1);
  }

  MetricRegistry* const registry;

  LabelledMetric<Gauge> build_info = registry->AddGauges({.name = "arcshard_build_info",
                                                          .unit = "",
                                                          .help = "Always 1; the label says which build runs.",
                                                          .label = "version"});
  LabelledMetric<Counter> steps =
      registry->AddCounters({.name = "arcshard_steps_total",
                             .unit = "steps",
                             .help = "Steps decided (coordinator) or carried out (shard, worker): committed, or "
                                     "skipped because a value was not finite.",
                             .label = "outcome"});
  Gauge& incarnation = registry->AddGauge({.name = "arcshard_view_incarnation",
                                           .unit = "",
                                           .help = "Starts of the coordinator that this process's view belongs to.",
                                           .label = ""});
  Gauge& view =
      registry->AddGauge({.name = "arcshard_view",
                          .unit = "",
                          .help = "Number of this process's view (membership and class ranges) within its incarnation.",
                          .label = ""});
  LabelledMetric<Counter> messages =
      registry->AddCounters({.name = "arcshard_messages_total",
                             .unit = "messages",
                             .help = "Messages exchanged with other processes over gRPC.",
                             .label = "direction"});
  LabelledMetric<Counter> message_bytes =
      registry->AddCounters({.name = "arcshard_message_bytes_total",
                             .unit = "bytes",
                             .help = "Serialized size of the messages exchanged with other processes over gRPC.",
                             .label = "direction"});
  LabelledMetric<Counter> refused_messages =
      registry->AddCounters({.name = "arcshard_refused_messages_total",
                             .unit = "messages",
                             .help = "Messages refused, by the name of the status code they were answered with.",
                             .label = "reason"});
  // 0.5 ms to 65 s.
  LabelledMetric<Histogram> step_phase =
      registry->AddHistograms({.name = "arcshard_step_phase_seconds",
                               .unit = "seconds",
                               .help = "Wall time of one part of a step, once per step or micro-batch.",
                               .label = "phase"},
                              ExponentialBuckets(0.0005, 2, 18));
};

struct CoordinatorMetrics : ProcessMetrics {
  explicit CoordinatorMetrics(MetricRegistry* registry_for_all) : ProcessMetrics(registry_for_all) {
    for (const absl::string_view role : {kShardRole, kWorkerRole}) members.With(role);
  }

  LabelledMetric<Gauge> members = registry->AddGauges(
      {.name = "arcshard_members", .unit = "processes", .help = "Processes in the current view.", .label = "role"});
  Gauge& loss = registry->AddGauge({.name = "arcshard_loss",
                                    .unit = "",
                                    .help = "Mean loss over the batch of the last committed step.",
                                    .label = ""});
  Gauge& target_cosine = registry->AddGauge(
      {.name = "arcshard_target_cosine",
       .unit = "",
       .help = "Mean cosine between embedding and its class center over the batch of the last committed step.",
       .label = ""});
  Gauge& learning_rate = registry->AddGauge(
      {.name = "arcshard_learning_rate", .unit = "", .help = "Learning rate of the last decided step.", .label = ""});
  Gauge& epoch = registry->AddGauge(
      {.name = "arcshard_epoch", .unit = "epochs", .help = "Epochs trained so far, with fraction.", .label = ""});
  Counter& samples = registry->AddCounter(
      {.name = "arcshard_samples_total", .unit = "samples", .help = "Samples of committed steps.", .label = ""});
  Gauge& samples_per_second = registry->AddGauge({.name = "arcshard_samples_per_second",
                                                  .unit = "",
                                                  .help = "Samples of committed steps per second, over the last steps.",
                                                  .label = ""});
};

struct ShardMetrics : ProcessMetrics {
  explicit ShardMetrics(MetricRegistry* registry_for_all) : ProcessMetrics(registry_for_all) {}

  Gauge& classes = registry->AddGauge(
      {.name = "arcshard_shard_classes", .unit = "classes", .help = "Classes that this shard owns.", .label = ""});
  Gauge& bytes = registry->AddGauge({.name = "arcshard_shard_bytes",
                                     .unit = "bytes",
                                     .help = "Memory of this shard's class centers, optimizer state and buffers.",
                                     .label = ""});
  Gauge& micro_batches_in_flight =
      registry->AddGauge({.name = "arcshard_micro_batches_in_flight",
                          .unit = "micro-batches",
                          .help = "Micro-batches received whose statistics are not yet sent.",
                          .label = ""});
};

struct WorkerMetrics : ProcessMetrics {
  explicit WorkerMetrics(MetricRegistry* registry_for_all) : ProcessMetrics(registry_for_all) {}

  Gauge& micro_batches_in_flight = registry->AddGauge({.name = "arcshard_micro_batches_in_flight",
                                                       .unit = "micro-batches",
                                                       .help = "Micro-batches sent whose statistics have not yet come.",
                                                       .label = ""});
  Counter& corrupt_records = registry->AddCounter({.name = "arcshard_corrupt_records_total",
                                                   .unit = "records",
                                                   .help = "Records that could not be decoded and were replaced.",
                                                   .label = ""});
  LabelledMetric<Gauge> verification_accuracy =
      registry->AddGauges({.name = "arcshard_verification_accuracy",
                           .unit = "",
                           .help = "Share of pairs told apart rightly in the last verification, from 0 to 1, by set.",
                           .label = "set"});
  LabelledMetric<Gauge> verification_tar =
      registry->AddGauges({.name = "arcshard_verification_true_accept_rate",
                           .unit = "",
                           .help = "Share of the pairs of one class accepted where at most 1 of 1000 pairs of two "
                                   "classes is, in the last verification, by set.",
                           .label = "set"});
};

}  // namespace arcshard
