// arcshard-shard: holds a range of class centers for a run.
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/metrics/metrics_server.h"
#include "common/net/descriptors.h"
#include "common/program/stop_on_signal.h"
#include "common/program/working_directory.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/security/meter_tls.h"
#include "common/trace/tracer.h"
#include "shard_server/arguments.h"
#include "shard_server/capacity.h"
#include "shard_server/head/gpu.h"
#include "shard_server/shard_process.h"

namespace arcshard::shard {
namespace {

void MeterGpuMemory(MetricRegistry* registry, ShardMetrics* metrics, ShardProcess* process) {
  registry->BeforeScrape([&memory = metrics->device_memory.With(kCuda), process] {
    const std::optional<int> gpu = process->gpu();
    if (!gpu.has_value()) return;
    if (const absl::StatusOr<int64_t> used = head::UsedGpuBytes(*gpu); used.ok()) {
      memory.Set(static_cast<double>(*used));
    }
  });
}

absl::Status Run(const Arguments& arguments, const Clock& clock, client::Departure* departure) {
  ShardProcess::Options options = arguments.process;
  options.departure = departure;
  if (options.device.cuda) RETURN_IF_ERROR(head::CheckGpu(options.device.index));
  if (options.capacity_bytes == 0 && !options.device.cuda) options.capacity_bytes = DefaultCapacityBytes();
  const std::unique_ptr<Tracer> tracer =
      Tracer::Start({.path = arguments.trace, .process = "arcshard-shard", .clock = &clock});
  MetricRegistry registry;
  ShardMetrics metrics(&registry, tracer.get());
  ShardProcess process(options, &metrics, &clock);
  registry.BeforeScrape([&process] { process.UpdateMetrics(); });
  if (options.device.cuda) MeterGpuMemory(&registry, &metrics, &process);
  MeterTls(options.security, &metrics);
  ASSIGN_OR_RETURN(const std::unique_ptr<MetricsServer> metrics_server,
                   MetricsServer::Create(registry, arguments.metrics_listen));
  LogInfo(absl::StrCat("metrics on port ", metrics_server->port()));
  return process.Run();
}

int Main(int argc, char** argv) {
  SetProcessName("arcshard-shard");
  PrepareGrpc();
  RaiseDescriptorLimit();
  const absl::StatusOr<std::unique_ptr<SignalQueue>> signals = TakeStopSignals();
  if (!signals.ok()) {
    LogError(signals.status().message());
    return EXIT_FAILURE;
  }
  Arguments arguments;
  if (const std::optional<int> exit_code = ParseArguments(argc, argv, &arguments)) return *exit_code;
  const SystemClock clock;
  client::Departure departure;
  const StopOnSignal stop({.signals = signals->get(),
                           .clock = &clock,
                           .grace = arguments.stop_grace,
                           .ask = [&departure](const std::string& signal) { return departure.Announce(signal); }});
  const absl::Status status = Run(arguments, clock, &departure);
  if (status.ok()) return EXIT_SUCCESS;
  LogError(status.message());
  return stop.FailureStatus();
}

}  // namespace
}  // namespace arcshard::shard

int main(int argc, char** argv) { return arcshard::shard::Main(argc, argv); }
