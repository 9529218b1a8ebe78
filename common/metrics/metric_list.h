#pragma once

#include <cstdint>
#include <optional>

#include "common/metrics/metrics.h"

// All metrics of arcshard, by the process that serves them: name, unit, help text, and the label that splits it into
// several series. A process creates the struct of its kind once and keeps it as long as its MetricsServer.
namespace arcshard {

// Values of labels. All of them are served from the start, with 0, so that a rate over them is defined.
inline constexpr absl::string_view kCommitted = "commit", kSkipped = "skip";                        // outcome of a step
inline constexpr absl::string_view kCheckpointComplete = "complete", kCheckpointFailed = "failed";  // outcome
inline constexpr absl::string_view kSent = "sent", kReceived = "received";                          // direction
inline constexpr absl::string_view kShardRole = "shard", kWorkerRole = "worker",                    // role
    kCoordinatorRole = "coordinator";
inline constexpr absl::string_view kCpu = "cpu", kCuda = "cuda";  // device
inline constexpr absl::string_view kRefusals[] = {                // reason
    "ABORTED",   "ALREADY_EXISTS",     "DATA_LOSS",       "FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND",
    "CANCELLED", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "PERMISSION_DENIED",   "UNAVAILABLE"};

// Queues. Shard: pass_1 (micro-batches that wait for pass 1), early (messages that wait for the decision before them).
// Worker: decoded (micro-batches that the loader has ready).
inline constexpr absl::string_view kPass1Queue = "pass_1", kEarlyQueue = "early", kDecodedQueue = "decoded";

// Parts of a step, the values of `phase`; each belongs to one role. Worker: data_wait (for a decoded micro-batch),
// forward, wait_for_shards (for statistics), loss, backward, all_reduce, vote (from ready to the decision), optimizer
// (its step), evaluation (a verification). Shard: begin (chooses the classes that take part), pass_1, pass_2.
// Coordinator: decision (from the first ready vote to the last).
inline constexpr absl::string_view kDataWait = "data_wait", kForward = "forward", kWaitForShards = "wait_for_shards",
                                   kLossPhase = "loss", kBackward = "backward", kAllReduce = "all_reduce",
                                   kVote = "vote", kBegin = "begin", kPass1 = "pass_1", kPass2 = "pass_2",
                                   kDecision = "decision", kOptimizer = "optimizer", kEvaluation = "evaluation";

// The metrics that every process serves.
struct ProcessMetrics {
  explicit ProcessMetrics(MetricRegistry* registry_for_all);
  ProcessMetrics(const ProcessMetrics&) = delete;
  ProcessMetrics& operator=(const ProcessMetrics&) = delete;

  // From now on disk_free and disk_size are those of the disk under `folder`, or under the part of its path that
  // exists.
  void WatchDisk(const std::string& folder);

  // This process is the coordinator, or some shard or worker; with a number, once it has one: that shard or worker.
  void SetMember(absl::string_view role, std::optional<uint32_t> number = std::nullopt);

  MetricRegistry* const registry;

  LabelledMetric<Gauge> member_info = registry->AddGauges(
      {"arcshard_member_info", "",
       "1 for what this process is called in its run, its role and number, such as shard 0; else 0.", "member"});
  LabelledMetric<Gauge> build_info =
      registry->AddGauges({"arcshard_build_info", "", "Always 1; the label says which build runs.", "version"});
  LabelledMetric<Counter> steps = registry->AddCounters(
      {"arcshard_steps_total", "steps",
       "Steps decided (coordinator) or carried out (shard, worker): committed, or skipped because a value was not "
       "finite.",
       "outcome"});
  Gauge& incarnation = registry->AddGauge(
      {"arcshard_view_incarnation", "", "Incarnation of this process's view: the number of the coordinator's start."});
  Gauge& view = registry->AddGauge(
      {"arcshard_view", "", "Number of this process's view (membership and class ranges) within its incarnation."});
  LabelledMetric<Counter> messages = registry->AddCounters(
      {"arcshard_messages_total", "messages", "Messages exchanged with other processes over gRPC.", "direction"});
  LabelledMetric<Counter> message_bytes =
      registry->AddCounters({"arcshard_message_bytes_total", "bytes",
                             "Serialized size of the messages exchanged with other processes over gRPC.", "direction"});
  LabelledMetric<Counter> refused_messages =
      registry->AddCounters({"arcshard_refused_messages_total", "messages",
                             "Messages refused, by the name of the status code they were answered with.", "reason"});
  // 0.5 ms to 65 s.
  LabelledMetric<Histogram> step_phase =
      registry->AddHistograms({"arcshard_step_phase_seconds", "seconds",
                               "Wall time of one part of a step, once per step or micro-batch.", "phase"},
                              ExponentialBuckets(0.0005, 2, 18));
  LabelledMetric<Gauge> device_memory = registry->AddGauges(
      {"arcshard_device_memory_bytes", "bytes",
       "Memory in use: cpu, this process's resident memory; cuda, its GPU's, by all processes on it.", "device"});
  Gauge& certificate_expiry = registry->AddGauge(
      {"arcshard_certificate_expiry_timestamp_seconds", "seconds",
       "When this process's TLS certificate, or its CA's, expires, since 1970 (UTC); 0: it has none."});
  Gauge& certificate_refused = registry->AddGauge(
      {"arcshard_certificate_refused", "",
       "1 while the TLS files on the disk cannot be used, so that those read before stay in use; else 0."});
  Gauge& disk_free = registry->AddGauge(
      {"arcshard_disk_free_bytes", "bytes",
       "Space left for this process on the disk that holds run.folder; 0 of 0 until the folder is known."});
  Gauge& disk_size = registry->AddGauge(
      {"arcshard_disk_size_bytes", "bytes", "Size of the disk that holds run.folder; 0 until the folder is known."});
  // 10 ms to 1.5 h.
  Histogram& checkpoint_write =
      registry->AddHistogram({"arcshard_checkpoint_write_seconds", "seconds",
                              "Time from the decision to take a checkpoint until this process's part of it was on the "
                              "disk; failed parts are not counted."},
                             ExponentialBuckets(0.01, 2, 20));
  Counter& checkpoint_write_bytes =
      registry->AddCounter({"arcshard_checkpoint_write_bytes_total", "bytes",
                            "Size of this process's parts of checkpoints that reached the disk."});
};

struct CoordinatorMetrics : ProcessMetrics {
  explicit CoordinatorMetrics(MetricRegistry* registry_for_all);

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
  explicit ShardMetrics(MetricRegistry* registry_for_all);

  Gauge& classes = registry->AddGauge({"arcshard_shard_classes", "classes", "Classes that this shard owns."});
  Gauge& bytes = registry->AddGauge({"arcshard_shard_bytes", "bytes",
                                     "Memory of this shard's class centers, optimizer state and kept exponentials."});
  Gauge& micro_batches_in_flight = registry->AddGauge({"arcshard_micro_batches_in_flight", "micro-batches",
                                                       "Micro-batches received whose statistics are not yet sent."});
  LabelledMetric<Gauge> queue_depth = registry->AddGauges(
      {"arcshard_queue_depth", "", "Entries that wait: micro-batches for pass 1, messages for a decision.", "queue"});
  Gauge& replay_log =
      registry->AddGauge({"arcshard_replay_log_bytes", "bytes",
                          "Inputs (labels, embeddings, r, t) kept for the steps that this shard could recompute."});
  Counter& repeated_messages =
      registry->AddCounter({"arcshard_repeated_messages_total", "messages",
                            "Messages that a worker sent again; they change nothing and are answered from memory."});
  Counter& checkpoint_stalls = registry->AddCounter({"arcshard_checkpoint_stall_seconds_total", "seconds",
                                                     "Time that the threads of this shard's updates waited for a "
                                                     "checkpoint's file: checkpoint.buffer_mb was used up."});
};

struct WorkerMetrics : ProcessMetrics {
  explicit WorkerMetrics(MetricRegistry* registry_for_all);

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
