#include "shard_server/arguments.h"

#include <CLI/CLI.hpp>
#include <cstdint>

#include "common/program/command_line.h"
#include "common/program/security_options.h"

namespace arcshard::shard {
namespace {

// Values that ParseArguments converts after parsing.
struct Texts {
  std::string device = "cpu";
  std::string connect_timeout = "60s";
  int64_t capacity_mb = 0;
};

void AddOptions(CLI::App* app, Arguments* arguments, Texts* texts) {
  ShardProcess::Options* const process = &arguments->process;
  app->add_option("--coordinator", process->coordinator, "host:port of the coordinator")->required();
  app->add_option("--listen", process->listen, "host:port for the workers; port 0 takes a free one")
      ->capture_default_str();
  app->add_option("--advertise", process->advertise,
                  "host that the workers are told to connect to; auto: the address by which this machine reaches the "
                  "coordinator. Default: that of --listen, or auto where that is 0.0.0.0 or [::]");
  app->add_option("--device", texts->device,
                  "where to hold the class centers and compute: cpu, cuda (one of the visible GPUs, leased by the "
                  "coordinator) or cuda:N")
      ->capture_default_str();
  app->add_flag("--share-device", process->share_device,
                "use a GPU together with other shards, if they have this flag too");
  app->add_option("--name", process->name,
                  "name that stays the same when this shard is restarted, so that it gets its GPU again; default: the "
                  "host's name");
  app->add_option("--capacity-mb", texts->capacity_mb,
                  "MiB for weights, moments and kept exponentials; default: half of the machine's memory, or nine "
                  "tenths of the GPU's")
      ->check(CLI::PositiveNumber);
  app->add_option("--metrics-listen", arguments->metrics_listen, "host:port of /metrics; port 0 takes a free one")
      ->capture_default_str();
  app->add_option("--connect-timeout", texts->connect_timeout,
                  "how long to wait for the coordinator to answer, such as 60s")
      ->capture_default_str();
}

}  // namespace

std::optional<int> ParseArguments(int argc, char** argv, Arguments* arguments) {
  Texts texts;
  CLI::App app("Holds a range of a run's class centers. Start it in any order with the other processes of the run.");
  app.footer("arcshard-shard healthcheck checks whether a shard is serving.");
  AddOptions(&app, arguments, &texts);
  SecurityOptions security;
  security.AddTo(&app, SecurityOptions::Listens::kYes);
  if (const std::optional<int> exit_code = ParseCommandLine(&app, argc, argv)) return exit_code;
  ShardProcess::Options* const process = &arguments->process;
  process->capacity_bytes = texts.capacity_mb << 20;
  if (const std::optional<int> exit_code = ParseDeviceOption("--device", texts.device, &process->device)) {
    return exit_code;
  }
  if (const std::optional<int> exit_code =
          ParseDurationOption("--connect-timeout", texts.connect_timeout, &process->connect_timeout)) {
    return exit_code;
  }
  return security.Take(CertifiedRole::kShard, &process->security);
}

}  // namespace arcshard::shard
