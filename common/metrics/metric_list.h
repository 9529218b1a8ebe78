#pragma once

#include "common/metrics/metrics.h"
#include "common/metrics/process_metrics.h"

// All metrics of arcshard, by the process that serves them: name, unit, help text, and the label that splits it into
// several series; process_metrics.h has those that all processes serve. A process creates the struct of its kind once
// and keeps it as long as its MetricsServer.
namespace arcshard {

struct CoordinatorMetrics : ProcessMetrics {
  explicit CoordinatorMetrics(MetricRegistry* registry_for_all, Tracer* trace = nullptr);

  LabelledMetric<Gauge> members =
      registry->AddGauges({"arcshard_members", "processes", "Processes in the current view.", "role"});
  LabelledMetric<Gauge> expected_members = registry->AddGauges(
      {"arcshard_expected_members", "processes", "Processes that the configuration asks for.", "role"});
  LabelledMetric<Gauge> phase = registry->AddGauges(
      {"arcshard_run_phase", "", "1 for what the run is doing (waiting, training, verifying, ...), else 0.", "phase"});
  Gauge& step = registry->AddGauge({"arcshard_step", "steps", "Number of the last decided step of the run."});
  Gauge& planned_steps =
      registry->AddGauge({"arcshard_planned_steps", "steps", "Steps of the whole run; 0 until its data is known."});
  Gauge& remaining = registry->AddGauge(
      {"arcshard_remaining_seconds", "seconds",
       "Time that the remaining steps take at the rate of the last ones, and the verifications to come."});
  Gauge& loss = registry->AddGauge({"arcshard_loss", "", "Mean loss over the batch of the last committed step."});
  Gauge& target_cosine = registry->AddGauge(
      {"arcshard_target_cosine", "",
       "Mean cosine between embedding and its class center over the batch of the last committed step."});
  Gauge& learning_rate = registry->AddGauge({"arcshard_learning_rate", "", "Learning rate of the last decided step."});
  Gauge& epoch = registry->AddGauge({"arcshard_epoch", "epochs", "Epochs trained so far, with fraction."});
  Counter& samples = registry->AddCounter({"arcshard_samples_total", "samples", "Samples of committed steps."});
  Counter& odd_figures =
      registry->AddCounter({"arcshard_odd_figures_total", "figures",
                            "Figures in heartbeats and in reports of checkpoints and verifications that could not be, "
                            "such as negative seconds, and were left out. They change no result."});
  Gauge& samples_per_second = registry->AddGauge(
      {"arcshard_samples_per_second", "", "Samples of committed steps per second, over the last steps."});
  LabelledMetric<Counter> checkpoints = registry->AddCounters(
      {"arcshard_checkpoints_total", "checkpoints",
       "Checkpoints that became complete, or that failed and left nothing, which does not stop the training.",
       "outcome"});
  Gauge& checkpoint_timestamp = registry->AddGauge(
      {"arcshard_checkpoint_timestamp_seconds", "seconds",
       "When the newest complete checkpoint was complete, since 1970 (UTC); 0 while there is none."});
  Gauge& checkpoint_step = registry->AddGauge(
      {"arcshard_checkpoint_step", "steps", "Step of the newest complete checkpoint; 0 while there is none."});
  Gauge& checkpoint_bytes =
      registry->AddGauge({"arcshard_checkpoint_bytes", "bytes",
                          "Size of all files of the newest checkpoint that was taken since the coordinator started."});
  Gauge& checkpoint_interval = registry->AddGauge(
      {"arcshard_checkpoint_interval_seconds", "seconds",
       "checkpoint.every_minutes: the most time between two checkpoints; 0: none are taken by the clock."});
  // 10 ms to 1.5 h.
  Histogram& checkpoint_duration =
      registry->AddHistogram({"arcshard_checkpoint_duration_seconds", "seconds",
                              "From the decision to take a checkpoint until it was complete on the disk; the training "
                              "continues in the meantime."},
                             ExponentialBuckets(0.01, 2, 20));
  LabelledMetric<Counter> recoveries = registry->AddCounters(
      {"arcshard_recoveries_total", "recoveries",
       "Times that the run went on after it had lost a process, by the role of that process; the coordinator's own: it "
       "was started again and found members that still held the run's state.",
       "role"});
  // 0.1 s to 1 h.
  Histogram& recovery = registry->AddHistogram(
      {"arcshard_recovery_seconds", "seconds",
       "From the loss of a process until all members of the next view held the same state and the run went on."},
      ExponentialBuckets(0.1, 2, 16));
  Gauge& recoverable = registry->AddGauge(
      {"arcshard_recoverable", "",
       "1 while a shard that is lost could be rebuilt from the others without a rollback to the last checkpoint; else "
       "0."});
  Counter& lost_steps = registry->AddCounter(
      {"arcshard_lost_steps_total", "steps",
       "Decided steps that rollbacks to a checkpoint have undone and that the run computes again."});
  LabelledMetric<Gauge> verification_accuracy =
      registry->AddGauges({"arcshard_verification_accuracy", "",
                           "Share of pairs judged correctly in the last verification, from 0 to 1, by set.", "set"});
  LabelledMetric<Gauge> verification_tar =
      registry->AddGauges({"arcshard_verification_true_accept_rate", "",
                           "Share of the pairs of one class accepted at a threshold that accepts at most 1 of 1000 "
                           "pairs of two classes, in the last verification, by set.",
                           "set"});
};

struct ShardMetrics : ProcessMetrics {
  explicit ShardMetrics(MetricRegistry* registry_for_all, Tracer* trace = nullptr);

  Gauge& classes = registry->AddGauge({"arcshard_shard_classes", "classes", "Classes that this shard owns."});
  Gauge& bytes = registry->AddGauge({"arcshard_shard_bytes", "bytes",
                                     "Memory of this shard's class centers, optimizer state and kept exponentials."});
  Gauge& micro_batches_in_flight = registry->AddGauge({"arcshard_micro_batches_in_flight", "micro-batches",
                                                       "Micro-batches received whose statistics are not yet sent."});
  LabelledMetric<Gauge> queue_depth = registry->AddGauges(
      {"arcshard_queue_depth", "", "Entries that wait: micro-batches for pass 1, messages for a decision.", "queue"});
  Gauge& log = registry->AddGauge({"arcshard_log_bytes", "bytes",
                                   "Size of this shard's replay log: the inputs (labels, embeddings, r, t) of the "
                                   "steps since the last checkpoint."});
  Gauge& replay = registry->AddGauge(
      {"arcshard_replay_seconds", "seconds",
       "What replaying this shard's whole log would take, as predicted from the steps that were measured."});
  Counter& replayed_steps = registry->AddCounter(
      {"arcshard_replayed_steps_total", "steps",
       "Steps that this shard has carried out from the log of another shard, to rebuild its range."});
  // 10 ms to 1.5 h.
  Histogram& recovery = registry->AddHistogram({"arcshard_recovery_seconds", "seconds",
                                                "Time that this shard took to rebuild its range: to restore the "
                                                "checkpoint or the first weights, and to replay."},
                                               ExponentialBuckets(0.01, 2, 20));
  Counter& repeated_messages =
      registry->AddCounter({"arcshard_repeated_messages_total", "messages",
                            "Messages that a worker sent again; they change nothing and are answered from memory."});
  Counter& checkpoint_stalls = registry->AddCounter({"arcshard_checkpoint_stall_seconds_total", "seconds",
                                                     "Time that the threads of this shard's updates waited for a "
                                                     "checkpoint's file: checkpoint.buffer_mb was used up."});
};

struct WorkerMetrics : ProcessMetrics {
  explicit WorkerMetrics(MetricRegistry* registry_for_all, Tracer* trace = nullptr);

  Gauge& micro_batches_in_flight = registry->AddGauge({"arcshard_micro_batches_in_flight", "micro-batches",
                                                       "Micro-batches sent whose statistics have not yet arrived."});
  LabelledMetric<Gauge> queue_depth =
      registry->AddGauges({"arcshard_queue_depth", "",
                           "Micro-batches that the loader had ready when the last step was computed.", "queue"});
  Counter& loader_stalls = registry->AddCounter(
      {"arcshard_loader_stalls_total", "micro-batches",
       "Micro-batches that training had to wait for because they were not decoded yet; the very first always is one."});
  Counter& corrupt_records = registry->AddCounter(
      {"arcshard_corrupt_records_total", "records", "Records that could not be decoded and were replaced."});
};

}  // namespace arcshard
