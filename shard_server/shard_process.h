#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/participant.h"
#include "common/base/clock.h"
#include "common/base/device_name.h"
#include "common/base/mutex.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/security/security.h"
#include "shard_server/checkpoint/shard_checkpointer.h"
#include "shard_server/head/gpu.h"
#include "shard_server/service/service.h"
#include "shard_server/state/executor.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// A shard's whole life: listens, registers, holds its range, takes part in every step, leaves its class centers.
//
// What the coordinator says, a signal, and an error of the head become tasks that Run's thread does one after the
// other; workers' messages go to the ShardState directly, passes run on the executor's thread, and checkpoints are
// written on one of their own.
class ShardProcess final : private client::ParticipantEvents, private ShardOutput {
 public:
  struct Options {
    std::string coordinator;             // host:port
    DeviceName device;                   // where the class centers lie and the passes run
    bool share_device = false;           // the GPU may be leased to others who say so too
    std::string name;                    // the same after a restart; empty: the host's
    std::string listen = "127.0.0.1:0";  // of the service for workers
    std::string advertise;               // host that workers are told, see AdvertisedAddress
    Security security;                   // of both: the service, and the way to the coordinator
    int64_t capacity_bytes = 0;  // memory for weights, momentum and kept exponentials; on a GPU 0: RequestDevice's
    absl::Duration connect_timeout = absl::Seconds(60);  // for the coordinator to answer
    std::function<absl::StatusOr<std::vector<head::GpuInfo>>()> list_gpus = head::ListGpus;  // of this machine
    FileSystem* files = RealFileSystem();                                                    // of checkpoints
  };

  // `metrics` and `clock` outlive the process.
  ShardProcess(Options options, ShardMetrics* metrics, const Clock* clock);
  ~ShardProcess() override;

  // Returns OK when the run has ended in order and the class centers are durable, otherwise the one error that ended
  // it, after the coordinator was told. Call once.
  absl::Status Run();

  // Any thread: makes Run end with `why`, once the coordinator was told. While Run still waits for the coordinator to
  // answer it does nothing and returns false.
  bool Stop(const absl::Status& why);

  // Any thread: the number of the GPU that it computes on; none on the CPU, and before the coordinator has leased one.
  std::optional<int> gpu();

  // Any thread, one at a time: brings the metrics that change without an event up to date.
  void UpdateMetrics() { service_.ShowLoad(metrics_); }

 private:
  using Task = std::function<absl::Status()>;

  absl::Status OnWelcome(const Welcome& welcome) override;
  absl::Status OnView(const ViewAnnouncement& view) override;
  absl::Status OnDecision(const Decision& decision) override;
  absl::Status OnProceed(const Next& next) override;
  void OnClosed(const absl::Status& status) override;

  void SendStatistics(uint32_t worker, const Key& key, const Statistics& statistics) override;
  void Refuse(uint32_t worker, const Key& key, const absl::Status& why) override;
  void VoteReady(const ReadyVote& vote) override;
  void TakeCheckpoint(const View& view, uint64_t step) override;
  void Applied(uint64_t step, Outcome outcome) override;

  void Post(Task task);
  absl::Status DoTasks();
  absl::Status AskForDevice(Registration* registration);
  absl::Status TakeDevice(absl::string_view uuid);
  absl::Status Enter(const Welcome& welcome);
  absl::Status Join(const ViewAnnouncement& view);
  // The range that the view gives, with the rows after its last decided step.
  absl::Status HoldRange(const ViewAnnouncement& view);
  absl::Status Follow(const Next& next);
  void TellFailure(const absl::Status& status);

  const Options options_;
  ShardMetrics* const metrics_;
  const Clock* const clock_;

  // Of Run's thread.
  std::vector<head::GpuInfo> gpus_;  // of this machine, where one of them is asked for
  DeviceName device_;                // once the coordinator has leased one: that
  int64_t capacity_bytes_ = 0;       // on it
  uint32_t id_ = 0;
  RunConfig config_;
  View view_;
  std::unique_ptr<head::Head> head_;
  std::unique_ptr<ShardCheckpointer> checkpointer_;
  std::unique_ptr<ShardState> state_;
  ShardService service_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<client::Participant> participant_;

  Mutex mutex_;
  CondVar changed_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool attending_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<int> gpu_ ABSL_GUARDED_BY(mutex_);
  bool finished_ ABSL_GUARDED_BY(mutex_) =
      false;  // said Finished: the coordinator's end of the stream is what is awaited
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;  // the coordinator's stream
  absl::Status closed_with_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
