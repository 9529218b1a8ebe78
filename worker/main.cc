#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/io/log.h"
#include "common/metrics/metrics_server.h"
#include "common/program/command_line.h"
#include "common/program/security_options.h"
#include "common/rpc/endpoint.h"
#include "worker/healthcheck.h"
#include "worker/training/worker_device.h"
#include "worker/worker_process.h"

namespace arcshard::worker {
namespace {

constexpr absl::Duration kGrace = absl::Seconds(4);

// Ends the process when the run has ended but something in a library still waits for a peer that is gone (Gloo's
// rendezvous cannot be interrupted). `mailbox` is never destroyed.
void StartWatchdog(client::Mailbox* mailbox) {
  std::thread([mailbox] {
    const absl::Status status = mailbox->AwaitClosed(absl::InfiniteDuration());
    absl::SleepFor(kGrace);
    LogError(status.message());
    std::_Exit(EXIT_FAILURE);
  }).detach();
}

int Main(int argc, char** argv) {
  SetProcessName("arcshard-worker");
  QuietGrpc();
  if (const std::optional<int> exit_code = HealthcheckCommand(argc, argv)) return *exit_code;
  CLI::App app("arcshard-worker: runs the backbone and owns the loss of its share of every step.");
  WorkerOptions options;
  std::string connect_timeout = "60s";
  std::string device = "cpu";
  std::string metrics_listen = "127.0.0.1:0";
  app.add_option("--coordinator", options.coordinator, "The coordinator's address, host:port")->required();
  app.add_option("--data", options.data, "Where the training set lies on this machine; default: the run's data.train");
  app.add_option("--all-reduce-interface", options.all_reduce_interface,
                 "Address of this machine that the workers' all-reduce binds to; auto: the one by which it reaches the "
                 "coordinator. It knows neither TLS nor passwords")
      ->capture_default_str();
  SecurityOptions security;
  security.AddTo(&app, SecurityOptions::Listens::kYes);
  app.footer("arcshard-worker healthcheck tells whether one runs.");
  app.add_option("--connect-timeout", connect_timeout, "How long to wait for the coordinator, such as 60s")
      ->capture_default_str();
  app.add_option("--metrics-listen", metrics_listen, "Where /metrics is served, host:port; port 0: any free one")
      ->capture_default_str();
  app.add_option("--device", device, "Where the backbone computes: cpu, cuda or cuda:N")->capture_default_str();
  if (const std::optional<int> exit_code = ParseCommandLine(&app, argc, argv)) return *exit_code;
  if (const std::optional<int> exit_code = ParseDeviceOption("--device", device, &options.device)) return *exit_code;
  if (const std::optional<int> exit_code =
          ParseDurationOption("--connect-timeout", connect_timeout, &options.connect_timeout)) {
    return *exit_code;
  }
  if (const std::optional<int> exit_code = security.Take(CertifiedRole::kWorker, &options.security)) return *exit_code;
  MetricRegistry registry;
  WorkerMetrics metrics(&registry);
  if (options.device.cuda) {
    registry.BeforeScrape([&memory = metrics.device_memory.With(kCuda), gpu = options.device.index] {
      if (const absl::StatusOr<int64_t> used = UsedGpuBytes(gpu); used.ok()) memory.Set(static_cast<double>(*used));
    });
  }
  const auto server = MetricsServer::Create(registry, metrics_listen);
  if (!server.ok()) {
    LogError(server.status().message());
    return EXIT_FAILURE;
  }
  LogInfo(absl::StrCat("metrics on port ", (*server)->port()));
  // Never destroyed: the watchdog waits in it until the process ends.
  client::Mailbox& mailbox = *new client::Mailbox;
  StartWatchdog(&mailbox);
  const absl::Status status = RunWorker(options, &mailbox, &metrics);
  if (!status.ok()) LogError(status.message());
  return status.ok() ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace arcshard::worker

int main(int argc, char** argv) {
  const int code = arcshard::worker::Main(argc, argv);
  // Without static destructors: a reduction that Gloo cannot abort may still hold threads of LibTorch.
  std::fflush(nullptr);
  std::_Exit(code);
}
