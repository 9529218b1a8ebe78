#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/departure.h"
#include "client/participant.h"
#include "common/base/clock.h"
#include "common/base/device_name.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/security/security.h"
#include "shard_server/device_lease.h"
#include "shard_server/head/gpu.h"
#include "shard_server/range_holder.h"
#include "shard_server/service/shard_service.h"
#include "shard_server/task_queue.h"

namespace arcshard::shard {

// A shard from start to end: it listens, registers, holds its range, takes part in every step and view, registers again
// when it loses the coordinator, and writes its class centers.
//
// Messages of the coordinator and errors of the head become tasks, which Run's thread does one after the other.
// Messages of workers go directly to the ShardState, the executor's thread runs the passes and rebuilds the range, and
// another thread writes checkpoints.
class ShardProcess final : private client::ParticipantEvents {
 public:
  struct Options {
    std::string coordinator;             // host:port
    DeviceName device;                   // where the class centers are held and the passes run
    bool share_device = false;           // the GPU may be leased to others that also share
    std::string name;                    // the same after a restart; empty: the host's
    bool spare = false;                  // waits for a free place where the run has all its shards
    std::string listen = "127.0.0.1:0";  // where the service for workers and other shards listens
    std::string advertise;               // host that they are told, see AdvertisedAddress
    Security security;                   // of the service, and of the connections to coordinator and other shards
    int64_t capacity_bytes = 0;          // memory that the head may fill; 0 on a GPU: RequestDevice's default
    absl::Duration connect_timeout = absl::Seconds(60);  // for the coordinator to answer
    std::function<absl::StatusOr<std::vector<head::GpuInfo>>()> list_gpus = head::ListGpus;  // of this machine
    FileSystem* files = RealFileSystem();                                                    // for checkpoints
    client::Departure* departure = nullptr;  // tells the run that this process was told to end; outlives it
  };

  // `metrics` and `clock` outlive the process.
  ShardProcess(Options options, ShardMetrics* metrics, const Clock* clock);
  ~ShardProcess() override;

  // Returns OK when the run has ended in order and the class centers are durable. Otherwise returns the error that
  // ended the run, after the coordinator was told. Call once.
  absl::Status Run();

  // Any thread: the number of the GPU in use; nullopt on the CPU, and before the coordinator has leased a GPU.
  std::optional<int> gpu() const { return device_.gpu(); }

  // Updates the metrics that no event updates. Any thread, one at a time.
  void UpdateMetrics() { service_.ShowLoad(metrics_); }

 private:
  absl::Status OnWelcome(const Welcome& welcome) override;
  absl::Status OnView(const ViewAnnouncement& view) override;
  absl::Status OnInstall(const Install& install) override;
  absl::Status OnDecision(const Decision& decision) override;
  absl::Status OnProceed(const Proceed& proceed) override;
  absl::Status OnCheckpointSettled(const CheckpointSettled& settled) override;
  void OnDetached(const absl::Status& why) override;
  void OnClosed(const absl::Status& status) override { tasks_.Close(status); }

  // The tasks.
  absl::Status Enter(const Welcome& welcome);
  absl::Status Join(const ViewAnnouncement& view);
  absl::Status Follow(const Next& next);
  absl::Status Reattach();

  // Posts a task about a message that needs the state, which there is after the Welcome.
  void PostToState(const char* message, std::function<absl::Status(ShardState*)> task);
  absl::Status Listen(client::ParticipantOptions* attend);
  absl::Status DoTasks();
  absl::Status Configure(const std::string& config_yaml);
  // Makes everything anew that depends on the shard's number and range.
  void Renew();
  void TellFailure(const absl::Status& status);

  const Options options_;
  ShardMetrics* const metrics_;
  const Clock* const clock_;
  TaskQueue tasks_;

  // Only Run's thread uses these.
  DeviceLease device_;
  Registration registration_;  // of a process that holds nothing yet
  uint32_t id_ = 0;
  std::string token_;
  std::string config_yaml_;  // empty before the first Welcome
  RunConfig config_;
  View view_;               // the newest that was announced
  bool installed_ = false;  // and was installed
  bool finished_ = false;   // Finished was sent, so the coordinator closes the stream next, or announces another view

  ShardService service_;
  std::unique_ptr<RangeHolder> holder_;  // null before the first Welcome
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<client::Participant> participant_;
};

}  // namespace arcshard::shard
