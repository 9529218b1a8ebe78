#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/io/log.h"
#include "common/metrics/metrics_server.h"
#include "common/net/descriptors.h"
#include "common/net/host_address.h"
#include "common/net/host_port.h"
#include "common/program/command_line.h"
#include "common/program/security_options.h"
#include "common/program/stop_on_signal.h"
#include "common/program/trace_option.h"
#include "common/program/working_directory.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/security/meter_tls.h"
#include "common/trace/tracer.h"
#include "worker/training/all_reduce/worker_device.h"
#include "worker/watchdog.h"
#include "worker/worker_process.h"

namespace arcshard::worker {
namespace {

struct Arguments {
  WorkerOptions worker;
  std::string metrics_listen = "127.0.0.1:0";
  std::string trace;  // file; empty: there is no trace
  absl::Duration stop_grace;
};

// A number: the program ends with it (ParseCommandLine).
std::optional<int> ParseArguments(int argc, char** argv, Arguments* arguments) {
  CommandLineParser parser("arcshard-worker",
                           "Runs the backbone and owns the loss of its share of every step of a run.", nullptr);
  CommandLine command = parser.root();
  WorkerOptions& options = arguments->worker;
  std::string connect_timeout = "60s";
  std::string stop_grace = kStopGrace;
  std::string device = "cpu";
  command.Add("--coordinator", &options.coordinator, "The coordinator's address, host:port")
      .Required()
      .Check(PeerAddressProblem);
  command.Add("--data", &options.data, "The folder of the training set on this machine; default: the run's data.train");
  command
      .Add("--all-reduce-interface", &options.all_reduce_interface,
           "Address of this machine that the workers' all-reduce binds to; auto: the one by which it reaches the "
           "coordinator. The all-reduce has neither TLS nor passwords")
      .ShowDefault()
      .Check([](const std::string& text) { return text == "auto" ? "" : LocalHostProblem(text); });
  SecurityOptions security;
  security.AddTo(&command, SecurityOptions::Listens::kYes);
  command.Add("--connect-timeout", &connect_timeout, "How long to wait for the coordinator, such as 60s").ShowDefault();
  command.Add("--stop-grace", &stop_grace, kStopGraceHelp).ShowDefault();
  command.Add("--trace", &arguments->trace, kTraceHelp);
  command
      .Add("--metrics-listen", &arguments->metrics_listen, "Where /metrics is served, host:port; port 0: any free one")
      .ShowDefault()
      .Check(ListenAddressProblem);
  command.Add("--device", &device, "Where the backbone computes: cpu, cuda or cuda:N").ShowDefault();
  command.Footer("arcshard healthcheck worker tells whether a worker runs on this machine.");
  if (const std::optional<int> exit_code = ParseCommandLine(&parser, argc, argv)) return exit_code;
  if (const std::optional<int> exit_code = ParseDeviceOption("--device", device, &options.device)) return exit_code;
  if (const std::optional<int> exit_code =
          ParseDurationOption("--connect-timeout", connect_timeout, &options.connect_timeout)) {
    return exit_code;
  }
  if (const std::optional<int> exit_code = ParseDurationOption("--stop-grace", stop_grace, &arguments->stop_grace)) {
    return exit_code;
  }
  return security.Take(CertifiedRole::kWorker, &options.security);
}

void ShowGpuMemory(int gpu, MetricRegistry* registry, WorkerMetrics* metrics) {
  registry->BeforeScrape([&memory = metrics->device_memory.With(kCuda), gpu] {
    if (const absl::StatusOr<int64_t> used = UsedGpuBytes(gpu); used.ok()) memory.Set(static_cast<double>(*used));
  });
}

// Runs the worker and returns its exit status. `stop` follows the signals that tell it to end.
int Run(const Arguments& arguments, const Clock& clock, const StopOnSignal& stop) {
  const std::unique_ptr<Tracer> tracer =
      Tracer::Start({.path = arguments.trace, .process = "arcshard-worker", .clock = &clock});
  MetricRegistry registry;
  WorkerMetrics metrics(&registry, tracer.get());
  if (arguments.worker.device.cuda) ShowGpuMemory(arguments.worker.device.index, &registry, &metrics);
  MeterTls(arguments.worker.security, &metrics);
  const auto server = MetricsServer::Create(registry, arguments.metrics_listen);
  if (!server.ok()) {
    LogError(server.status().message());
    return EXIT_FAILURE;
  }
  LogInfo(absl::StrCat("metrics on port ", (*server)->port()));
  client::Mailbox mailbox(&clock);
  Watchdog watchdog({.clock = &clock, .expired = [&stop](const absl::Status& status) {
                       LogError(status.ok() ? "the run has ended" : status.message());
                       std::_Exit(stop.FailureStatus());
                     }});
  mailbox.OnClose([&watchdog](const absl::Status& status) { watchdog.Arm(status); });
  const absl::Status status = RunWorker(arguments.worker, &mailbox, &clock, &metrics);
  if (!status.ok()) LogError(status.message());
  return status.ok() ? EXIT_SUCCESS : stop.FailureStatus();
}

int Main(int argc, char** argv) {
  SetProcessName("arcshard-worker");
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
  arguments.worker.departure = &departure;
  const StopOnSignal stop({.signals = signals->get(),
                           .clock = &clock,
                           .grace = arguments.stop_grace,
                           .ask = [&departure](const std::string& signal) { return departure.Announce(signal); }});
  return Run(arguments, clock, stop);
}

}  // namespace
}  // namespace arcshard::worker

int main(int argc, char** argv) {
  const int code = arcshard::worker::Main(argc, argv);
  // Static destructors are skipped: threads that connect, or wait for what could not be aborted, may still use
  // LibTorch.
  std::fflush(nullptr);
  std::_Exit(code);
}
