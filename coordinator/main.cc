#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/config/load_config.h"
#include "common/io/file.h"
#include "common/io/file_system.h"
#include "common/io/log.h"
#include "common/metrics/metrics_server.h"
#include "common/program/command_line.h"
#include "common/program/healthcheck.h"
#include "common/program/security_options.h"
#include "common/rpc/endpoint.h"
#include "coordinator/run_folder/device_memory_file.h"
#include "coordinator/run_folder/incarnation.h"
#include "coordinator/run_folder/keeper_thread.h"
#include "coordinator/run_folder/metrics_log.h"
#include "coordinator/run_folder/model_folder.h"
#include "coordinator/run_folder/start_from.h"
#include "coordinator/service/reporter.h"
#include "coordinator/service/service.h"

namespace arcshard::coordinator {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr absl::Duration kShutdownGrace = absl::Seconds(3);  // for streams to carry their last word

struct Arguments {
  std::string config;
  std::vector<std::string> overrides;
  std::string listen = "127.0.0.1:0";
  std::string metrics_listen = "127.0.0.1:0";
  int announce_fd = -1;
  StartOptions start;
  Security security;
};

// SIGINT and SIGTERM, taken by Next() instead of a handler. Block before any thread is made: threads inherit it.
class StopSignals {
 public:
  StopSignals() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGINT);
    sigaddset(&set_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }

  // Whether one has come since the last call.
  bool Take() {
    const timespec at_once{};
    return sigtimedwait(&set_, nullptr, &at_once) > 0;
  }

  // From now on one ends the process at once.
  void Unblock() { pthread_sigmask(SIG_UNBLOCK, &set_, nullptr); }

 private:
  sigset_t set_;
};

// Tells a parent a line: "listening HOST:PORT", and at the end "failed CAUSE PID" (failure_details.h) if the run
// failed.
absl::Status Announce(const FileDescriptor& to, absl::string_view line_of_text) {
  if (!to.valid()) return absl::OkStatus();
  const std::string line = absl::StrCat(line_of_text, "\n");
  ssize_t written;
  do {
    written = write(to.get(), line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written != static_cast<ssize_t>(line.size())) {
    return ErrnoStatus(errno, absl::StrCat("--announce-fd ", to.get()), "cannot write");
  }
  return absl::OkStatus();
}

struct Ending {
  absl::Status result;
  std::vector<ClassRange> ranges;  // of the last view's shards
};

std::vector<ClassRange> RangesOf(const RunStatus& status) {
  std::vector<ClassRange> ranges;
  for (const MemberStatus& member : status.members) {
    if (member.registration.role == Role::kShard) ranges.push_back(member.range);
  }
  return ranges;
}

Ending RunUntilItEnds(Session* session, MetricsLog* log, StopSignals* signals) {
  std::optional<absl::Status> result;
  std::vector<ClassRange> ranges;
  while (!result.has_value()) {
    if (signals->Take()) {
      session->RequestStop();
      signals->Unblock();
    }
    session->Tick();
    result = session->AwaitEnd(kTick);
    const RunStatus status = session->Status();
    if (!status.members.empty()) ranges = RangesOf(status);  // at the end there are none
    log->Look(status);
  }
  return {*result, ranges};
}

void TidyModel(FileSystem* files, const std::string& run_folder, const std::vector<ClassRange>& ranges) {
  const absl::StatusOr<std::vector<std::string>> deleted = DeleteOtherRanges(files, run_folder, ranges);
  if (!deleted.ok()) {
    LogError(absl::StrCat("class centers of an earlier model stay: ", deleted.status().message()));
    return;
  }
  for (const std::string& path : *deleted) LogInfo(absl::StrCat("deleted what an earlier model has left: ", path));
}

absl::Status Main(const Arguments& arguments, const FileDescriptor& announce_to, StopSignals* signals) {
  ASSIGN_OR_RETURN(const RunConfig given, LoadRunConfig(arguments.config, arguments.overrides));
  RETURN_IF_ERROR(Run::Validate(given));
  ASSIGN_OR_RETURN(const std::unique_ptr<Incarnation> incarnation, Incarnation::Take(given.run.folder));
  FileSystem* const files = RealFileSystem();
  ASSIGN_OR_RETURN(const StartPoint start, DecideStart(files, given, arguments.start, incarnation->number()));
  const RunConfig& config = start.config;
  const std::string yaml = ToYaml(config);
  std::fputs(yaml.c_str(), stdout);
  std::fflush(stdout);
  RETURN_IF_ERROR(WriteFileAtomically(absl::StrCat(config.run.folder, "/config.yaml"), yaml));

  const SystemClock clock;
  MetricRegistry registry;
  CoordinatorMetrics metrics(&registry);
  metrics.WatchDisk(config.run.folder);
  metrics.expected_members.With(kShardRole).Set(config.cluster.shards);
  metrics.expected_members.With(kWorkerRole).Set(config.cluster.workers);
  metrics.checkpoint_interval.Set(absl::ToDoubleSeconds(absl::Minutes(config.checkpoint.every_minutes)));
  ASSIGN_OR_RETURN(const std::unique_ptr<MetricsServer> metrics_server,
                   MetricsServer::Create(registry, arguments.metrics_listen));
  Reporter reporter(&clock, &metrics);
  const std::string devices_path = absl::StrCat(config.run.folder, "/devices.json");
  ASSIGN_OR_RETURN(std::vector<DeviceMemory> device_memory, ReadDeviceMemory(devices_path));
  KeeperThread keeper(files, config.run.folder,
                      {.keep_last = config.checkpoint.keep_last, .keep_every = config.checkpoint.keep_every});
  Run::Options options{.config = config, .config_yaml = yaml, .incarnation = incarnation->number()};
  options.resume = start.resume;
  options.keeper = &keeper;
  options.version = std::string(BuildVersion());
  options.device_memory = std::move(device_memory);
  options.keep_device_memory = [&devices_path](const std::vector<DeviceMemory>& memory) {
    const absl::Status status = WriteDeviceMemory(devices_path, memory);
    if (!status.ok()) LogError(status.message());  // a later life of the run will lease anew
  };
  Service service(std::move(options), &clock, &reporter, &metrics);
  ASSIGN_OR_RETURN(const std::unique_ptr<RpcServer> server,
                   RpcServer::Start(arguments.listen, {&service}, arguments.security, kMaxParticipantMessageBytes));
  LogInfo(absl::StrCat("listening on ", server->address(), ", metrics on port ", metrics_server->port(),
                       ", incarnation ", incarnation->number()));
  RETURN_IF_ERROR(Announce(announce_to, absl::StrCat("listening ", server->address())));

  MetricsLog log(absl::StrCat(config.run.folder, "/metrics.jsonl"), &clock,
                 {.config = std::filesystem::path(arguments.config).filename().string(),
                  .version = std::string(BuildVersion()),
                  .incarnation = incarnation->number(),
                  .resumed_step = start.resume.has_value() ? start.resume->manifest.step : 0,
                  .shards = config.cluster.shards,
                  .workers = config.cluster.workers,
                  .host = HostName(),
                  .pid = getpid()});
  keeper.Start(
      [&service](uint64_t step, const absl::Status& status) { service.session()->CheckpointKept(step, status); });
  const Ending ending = RunUntilItEnds(service.session(), &log, signals);
  keeper.Finish();  // a checkpoint whose parts are all there becomes complete, however the run has ended
  if (ending.result.ok()) TidyModel(files, config.run.folder, ending.ranges);
  server->Shutdown(kShutdownGrace);
  return ending.result;
}

void AddStartOptions(CLI::App* app, StartOptions* options) {
  const std::map<std::string, ResumeMode> modes = {
      {"no", ResumeMode::kNo}, {"yes", ResumeMode::kYes}, {"auto", ResumeMode::kAuto}};
  CLI::Option* resume =
      app->add_option("--resume", options->resume,
                      "Go on from the newest complete checkpoint in run.folder: no (default; refused where there is "
                      "one), yes (refused where there is none), auto")
          ->transform(CLI::Transformer(modes))
          ->type_name("no|yes|auto");
  app->add_flag("--restart", options->restart,
                "Start anew in a folder with checkpoints: they are kept, in checkpoints-before-N")
      ->excludes(resume);
  app->add_flag(
      "--allow-older", options->allow_older,
      "Read all checkpoints that are needed in full before the run, and where the newest is damaged go on from "
      "the one before it");
}

}  // namespace
}  // namespace arcshard::coordinator

int main(int argc, char** argv) {
  arcshard::SetProcessName("arcshard-coordinator");
  signal(SIGPIPE, SIG_IGN);
  arcshard::QuietGrpc();
  const auto healthcheck =
      arcshard::HealthcheckCommand(arcshard::CertifiedRole::kCoordinator, "127.0.0.1:7000", argc, argv);
  if (healthcheck.has_value()) return *healthcheck;
  arcshard::coordinator::StopSignals signals;
  arcshard::coordinator::Arguments arguments;
  CLI::App app(
      "Coordinates one run of arcshard: waits for its shards and workers, then steps them through the training.");
  app.footer("arcshard-coordinator healthcheck tells whether one serves.");
  arcshard::SecurityOptions security;
  security.AddTo(&app, arcshard::SecurityOptions::Listens::kYes);
  app.add_option("--config", arguments.config, "The run's YAML file")->required();
  app.add_option("--set", arguments.overrides, "A key of the configuration, as section.key=value; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--listen", arguments.listen, "host:port for shards and workers; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--metrics-listen", arguments.metrics_listen, "host:port of /metrics; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--announce-fd", arguments.announce_fd,
                 "File descriptor to write 'listening host:port' to, once the coordinator listens there, and 'failed "
                 "cause pid' if the run fails");
  arcshard::coordinator::AddStartOptions(&app, &arguments.start);
  if (const std::optional<int> exit_code = arcshard::ParseCommandLine(&app, argc, argv)) return *exit_code;
  const auto exit_code = security.Take(arcshard::CertifiedRole::kCoordinator, &arguments.security);
  if (exit_code.has_value()) return *exit_code;
  const arcshard::FileDescriptor announce_to(arguments.announce_fd);
  const absl::Status status = arcshard::coordinator::Main(arguments, announce_to, &signals);
  if (status.ok()) return 0;
  arcshard::LogError(status.message());
  const std::string details = arcshard::ToString(arcshard::DetailsOf(status));
  // Whoever asked for the announcement may have gone, which changes nothing about this process's end.
  arcshard::coordinator::Announce(announce_to, absl::StrCat("failed ", details)).IgnoreError();
  return 1;
}
