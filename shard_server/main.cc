// arcshard-shard: holds a range of class centers for a run.
#include <csignal>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/metrics/metrics_server.h"
#include "common/net/descriptors.h"
#include "common/program/healthcheck.h"
#include "common/program/signal_queue.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/security/meter_tls.h"
#include "shard_server/arguments.h"
#include "shard_server/capacity.h"
#include "shard_server/head/gpu.h"
#include "shard_server/shard_process.h"

namespace arcshard::shard {
namespace {

// Stops the process when a signal arrives, on a thread of its own.
class StopOnSignal {
 public:
  // Both outlive it.
  StopOnSignal(SignalQueue* signals, ShardProcess* process)
      : signals_(signals), thread_([signals, process] {
          for (std::vector<int> arrived; !(arrived = signals->Wait()).empty();) Stop(process, arrived.front());
        }) {}
  ~StopOnSignal() {
    signals_->Wake();
    thread_.join();
  }
  StopOnSignal(const StopOnSignal&) = delete;
  StopOnSignal& operator=(const StopOnSignal&) = delete;

 private:
  static void Stop(ShardProcess* process, int signal) {
    const absl::Status why = absl::CancelledError(absl::StrCat("stopped by signal ", signal));
    if (process->Stop(why)) return;
    LogError(why.message());  // there is no coordinator yet that would have to be told
    std::_Exit(EXIT_FAILURE);
  }

  SignalQueue* const signals_;
  std::thread thread_;
};

void MeterGpuMemory(MetricRegistry* registry, ShardMetrics* metrics, ShardProcess* process) {
  registry->BeforeScrape([&memory = metrics->device_memory.With(kCuda), process] {
    const std::optional<int> gpu = process->gpu();
    if (!gpu.has_value()) return;
    if (const absl::StatusOr<int64_t> used = head::UsedGpuBytes(*gpu); used.ok()) {
      memory.Set(static_cast<double>(*used));
    }
  });
}

absl::Status Main(const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SignalQueue> signals, SignalQueue::Create({SIGINT, SIGTERM}));
  ShardProcess::Options options = arguments.process;
  if (options.device.cuda) RETURN_IF_ERROR(head::CheckGpu(options.device.index));
  if (options.capacity_bytes == 0 && !options.device.cuda) options.capacity_bytes = DefaultCapacityBytes();
  const SystemClock clock;
  MetricRegistry registry;
  ShardMetrics metrics(&registry);
  ShardProcess process(options, &metrics, &clock);
  registry.BeforeScrape([&process] { process.UpdateMetrics(); });
  if (options.device.cuda) MeterGpuMemory(&registry, &metrics, &process);
  MeterTls(options.security, &metrics);
  const StopOnSignal stop_on_signal(signals.get(), &process);
  ASSIGN_OR_RETURN(const std::unique_ptr<MetricsServer> metrics_server,
                   MetricsServer::Create(registry, arguments.metrics_listen));
  LogInfo(absl::StrCat("metrics on port ", metrics_server->port()));
  return process.Run();
}

}  // namespace
}  // namespace arcshard::shard

int main(int argc, char** argv) {
  arcshard::SetProcessName("arcshard-shard");
  arcshard::QuietGrpc();
  arcshard::RaiseDescriptorLimit();
  const auto healthcheck = arcshard::HealthcheckCommand(arcshard::CertifiedRole::kShard, "127.0.0.1:7100", argc, argv);
  if (healthcheck.has_value()) return *healthcheck;
  arcshard::shard::Arguments arguments;
  if (const std::optional<int> exit_code = arcshard::shard::ParseArguments(argc, argv, &arguments)) return *exit_code;
  const absl::Status status = arcshard::shard::Main(arguments);
  if (status.ok()) return EXIT_SUCCESS;
  arcshard::LogError(status.message());
  return EXIT_FAILURE;
}
