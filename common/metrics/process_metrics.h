#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/metrics/metrics.h"
#include "common/trace/tracer.h"

// The metrics that every process serves, and the values of labels. metric_list.h has those of each kind of process.
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
// (its step), evaluation (a verification). Shard: begin (chooses the classes that take part), pass_1, gradient (what it
// computes of pass 2 before the decision), pass_2. Coordinator: decision (from the first ready vote to the last).
inline constexpr absl::string_view kDataWait = "data_wait", kForward = "forward", kWaitForShards = "wait_for_shards",
                                   kLossPhase = "loss", kBackward = "backward", kAllReduce = "all_reduce",
                                   kVote = "vote", kBegin = "begin", kPass1 = "pass_1", kGradient = "gradient",
                                   kPass2 = "pass_2", kDecision = "decision", kOptimizer = "optimizer",
                                   kEvaluation = "evaluation";

// The metrics that every process serves.
struct ProcessMetrics {
  // trace: null: there is none.
  ProcessMetrics(MetricRegistry* registry_for_all, Tracer* trace);
  ProcessMetrics(const ProcessMetrics&) = delete;
  ProcessMetrics& operator=(const ProcessMetrics&) = delete;

  // From now on disk_free and disk_size are those of the disk under `folder`, or under the part of its path that
  // exists.
  void WatchDisk(const std::string& folder);

  // This process is the coordinator, or some shard or worker; with a number, once it has one: that shard or worker. The
  // trace's name for it follows.
  void SetMember(absl::string_view role, std::optional<uint32_t> number = std::nullopt);

  MetricRegistry* const registry;
  Tracer* const tracer;  // null: there is no trace

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

}  // namespace arcshard
