#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "common/metrics/metric_list.h"
#include "common/metrics/metrics_server.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/security/security.h"
#include "common/trace/tracer.h"
#include "coordinator/policy/device_leases.h"
#include "coordinator/run_folder/incarnation.h"
#include "coordinator/run_folder/keeper_thread.h"
#include "coordinator/run_folder/metrics_log.h"
#include "coordinator/run_folder/restart_undo.h"
#include "coordinator/run_folder/start_from.h"
#include "coordinator/service/coordinator_service.h"
#include "coordinator/service/reporter.h"

namespace arcshard::coordinator {

// One life of the coordinator: it owns the run's folder, serves participants and watchers, and ends with the run.
class CoordinatorProcess {
 public:
  struct Options {
    std::string config;                  // the run's YAML file
    std::vector<std::string> overrides;  // section.key=value
    std::string listen = "127.0.0.1:0";  // for participants
    std::string metrics_listen = "127.0.0.1:0";
    StartOptions start;
    Security security;
    std::string trace;  // file; empty: there is no trace
  };

  // Takes the run's folder, decides where the run starts, prints the resolved configuration to stdout, and starts to
  // listen. A new run's configuration is written to <run.folder>/config.yaml at once; that of a run that resumes with
  // the first checkpoint taken under it, and that of a restart once the members have joined, so that a start that they
  // refuse leaves no trace. The errors are those of LoadRunConfig, Run::Validate, Incarnation::Take, DecideStart, the
  // file system and the servers.
  static absl::StatusOr<std::unique_ptr<CoordinatorProcess>> Create(const Options& options);

  const std::string& address() const { return server_->address(); }  // where participants reach it

  // Runs the run and returns how it ended. Call it once.
  absl::Status RunUntilItEnds();

  // Ends the run in order. Any thread.
  void RequestStop() { service_.session()->RequestStop(); }

 private:
  CoordinatorProcess(const Options& options, std::unique_ptr<Incarnation> incarnation, const StartPoint& start,
                     const std::string& yaml, LeaseHistory lease_history);

  absl::Status Listen(const Options& options);
  absl::Status Loop();
  // Stops the run in order if its folder was deleted; an error if the run must end at once, because the folder is
  // another coordinator's.
  absl::Status GuardFolder();
  void KeepLeases(const LeaseHistory& history) const;
  void NoteBegin();
  void DeleteFilesOfEarlierModels() const;

  const std::string config_file_;
  const std::unique_ptr<Incarnation> incarnation_;
  const StartPoint start_;
  const RunConfig& config_;  // start_'s
  const std::string yaml_;   // the same
  RestartUndo restart_undo_;
  bool began_ = false;  // all members have joined
  bool folder_unreadable_ = false;
  absl::Status folder_lost_;  // not OK: the run's folder was deleted, and the run was stopped because of it
  const SystemClock clock_;
  const std::unique_ptr<Tracer> tracer_;  // null: there is no trace
  MetricRegistry registry_;
  CoordinatorMetrics metrics_;
  Reporter reporter_;
  KeeperThread keeper_;
  CoordinatorService service_;
  std::unique_ptr<MetricsServer> metrics_server_;
  std::unique_ptr<RpcServer> server_;
  std::vector<ClassRange> ranges_;  // of the view's shards
};

}  // namespace arcshard::coordinator
