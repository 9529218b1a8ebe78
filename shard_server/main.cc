// arcshard-shard: holds a range of class centers for a run.
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/metrics/metrics_server.h"
#include "common/program/command_line.h"
#include "common/program/healthcheck.h"
#include "common/program/security_options.h"
#include "common/rpc/endpoint.h"
#include "shard_server/capacity.h"
#include "shard_server/head/gpu.h"
#include "shard_server/shard_process.h"
#include "shard_server/signal_watcher.h"

namespace arcshard::shard {
namespace {

absl::Status Main(ShardProcess::Options options, const std::string& metrics_listen) {
  if (options.device.cuda) RETURN_IF_ERROR(head::CheckGpu(options.device.index));
  if (options.capacity_bytes == 0 && !options.device.cuda) options.capacity_bytes = DefaultCapacityBytes();
  const SystemClock clock;
  MetricRegistry registry;
  ShardMetrics metrics(&registry);
  ShardProcess process(options, &metrics, &clock);
  registry.BeforeScrape([&process] { process.UpdateMetrics(); });
  if (options.device.cuda) {
    registry.BeforeScrape([&memory = metrics.device_memory.With(kCuda), &process] {
      const std::optional<int> gpu = process.gpu();
      if (!gpu.has_value()) return;
      if (const absl::StatusOr<int64_t> used = head::UsedGpuBytes(*gpu); used.ok())
        memory.Set(static_cast<double>(*used));
    });
  }
  const SignalWatcher signals([&process](int signal) {
    const absl::Status why = absl::CancelledError(absl::StrCat("stopped by signal ", signal));
    if (process.Stop(why)) return;
    LogError(why.message());  // nobody is there yet who would have to be told
    std::_Exit(EXIT_FAILURE);
  });
  absl::StatusOr<std::unique_ptr<MetricsServer>> metrics_server = MetricsServer::Create(registry, metrics_listen);
  if (!metrics_server.ok()) return metrics_server.status();
  LogInfo(absl::StrCat("metrics on port ", (*metrics_server)->port()));
  return process.Run();
}

}  // namespace
}  // namespace arcshard::shard

int main(int argc, char** argv) {
  arcshard::SetProcessName("arcshard-shard");
  arcshard::QuietGrpc();
  const auto healthcheck = arcshard::HealthcheckCommand(arcshard::CertifiedRole::kShard, "127.0.0.1:7100", argc, argv);
  if (healthcheck.has_value()) return *healthcheck;
  arcshard::shard::ShardProcess::Options options;
  int64_t capacity_mb = 0;
  std::string metrics_listen = "127.0.0.1:0";
  std::string connect_timeout = "60s";
  std::string device = "cpu";

  CLI::App app("Holds a range of a run's class centers. Start it in any order with the other processes of the run.");
  app.footer("arcshard-shard healthcheck tells whether one serves.");
  app.add_option("--coordinator", options.coordinator, "host:port of the coordinator")->required();
  app.add_option("--listen", options.listen, "host:port for the workers; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--advertise", options.advertise,
                 "host that the workers are told to connect to; auto: the address by which this machine reaches the "
                 "coordinator. Default: that of --listen, or auto where that is 0.0.0.0 or [::]");
  arcshard::SecurityOptions security;
  security.AddTo(&app, arcshard::SecurityOptions::Listens::kYes);
  app.add_option("--device", device,
                 "where to hold and compute: cpu, cuda (a GPU of those it sees, leased by the coordinator) or cuda:N")
      ->capture_default_str();
  app.add_flag("--share-device", options.share_device,
               "take a GPU that other shards compute on, or let them take this one, if they say so too");
  app.add_option(
      "--name", options.name,
      "what this shard has in common with itself before a restart, to get its GPU again; default: the host's "
      "name");
  app.add_option(
         "--capacity-mb", capacity_mb,
         "MiB for weights, moments and kept exponentials; default: half of the machine's memory, or nine tenths "
         "of the GPU's")
      ->check(CLI::PositiveNumber);
  app.add_option("--metrics-listen", metrics_listen, "host:port of /metrics; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--connect-timeout", connect_timeout, "how long to wait for the coordinator to answer, such as 60s")
      ->capture_default_str();
  if (const std::optional<int> exit_code = arcshard::ParseCommandLine(&app, argc, argv)) return *exit_code;
  options.capacity_bytes = capacity_mb << 20;
  if (const std::optional<int> exit_code = arcshard::ParseDeviceOption("--device", device, &options.device)) {
    return *exit_code;
  }
  if (const std::optional<int> exit_code =
          arcshard::ParseDurationOption("--connect-timeout", connect_timeout, &options.connect_timeout)) {
    return *exit_code;
  }
  if (const auto exit_code = security.Take(arcshard::CertifiedRole::kShard, &options.security)) return *exit_code;

  const absl::Status status = arcshard::shard::Main(options, metrics_listen);
  if (status.ok()) return EXIT_SUCCESS;
  arcshard::LogError(absl::string_view(status.message().data(), status.message().size()));
  return EXIT_FAILURE;
}
