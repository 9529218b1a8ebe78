#include "shard_server/arguments.h"

#include <cstdint>

#include "common/net/host_port.h"
#include "common/program/command_line.h"
#include "common/program/security_options.h"
#include "common/program/stop_on_signal.h"
#include "common/program/trace_option.h"

namespace arcshard::shard {
namespace {

// Values that ParseArguments converts after parsing.
struct Texts {
  std::string device = "cpu";
  std::string connect_timeout = "60s";
  std::string stop_grace = kStopGrace;
  int64_t capacity_mb = 0;
};

void AddOptions(CommandLine* command, Arguments* arguments, Texts* texts) {
  ShardProcess::Options* const process = &arguments->process;
  command->Add("--coordinator", &process->coordinator, "The coordinator's address, host:port")
      .Required()
      .Check(PeerAddressProblem);
  command->Add("--listen", &process->listen, "host:port for the workers and other shards; port 0 takes a free one")
      .ShowDefault()
      .Check(ListenAddressProblem);
  command->Add("--advertise", &process->advertise,
               "Host that the workers and other shards are told to connect to; auto: the address by which this machine "
               "reaches the coordinator. Default: that of --listen, or auto where that is 0.0.0.0 or [::]");
  command
      ->Add("--device", &texts->device,
            "Where to hold the class centers and compute: cpu, cuda (one of the visible GPUs, leased by the "
            "coordinator) or cuda:N")
      .ShowDefault();
  command->AddFlag("--share-device", &process->share_device,
                   "Use a GPU together with other shards, if they have this flag too");
  command->Add("--name", &process->name,
               "Name that stays the same when this shard is restarted, so that it gets its GPU again; default: the "
               "host's name");
  command->AddFlag("--spare", &process->spare,
                   "Wait where the run has all its shards, and take the place of one that is lost");
  command
      ->Add("--capacity-mb", &texts->capacity_mb,
            "MiB for weights, moments and kept exponentials; default: half of the machine's memory, or nine tenths of "
            "the GPU's")
      .Positive();
  command->Add("--metrics-listen", &arguments->metrics_listen, "host:port of /metrics; port 0 takes a free one")
      .ShowDefault()
      .Check(ListenAddressProblem);
  command->Add("--connect-timeout", &texts->connect_timeout, "How long to wait for the coordinator, such as 60s")
      .ShowDefault();
  command->Add("--stop-grace", &texts->stop_grace, kStopGraceHelp).ShowDefault();
  command->Add("--trace", &arguments->trace, kTraceHelp);
}

}  // namespace

std::optional<int> ParseArguments(int argc, char** argv, Arguments* arguments) {
  Texts texts;
  CommandLineParser parser("arcshard-shard",
                           "Holds a range of a run's class centers. A run's processes may be started in any order.",
                           nullptr);
  CommandLine command = parser.root();
  AddOptions(&command, arguments, &texts);
  SecurityOptions security;
  security.AddTo(&command, SecurityOptions::Listens::kYes);
  command.Footer("arcshard healthcheck shard tells whether a shard serves on this machine.");
  if (const std::optional<int> exit_code = ParseCommandLine(&parser, argc, argv)) return exit_code;
  ShardProcess::Options* const process = &arguments->process;
  process->capacity_bytes = texts.capacity_mb << 20;
  if (const std::optional<int> exit_code = ParseDeviceOption("--device", texts.device, &process->device)) {
    return exit_code;
  }
  if (const std::optional<int> exit_code =
          ParseDurationOption("--connect-timeout", texts.connect_timeout, &process->connect_timeout)) {
    return exit_code;
  }
  if (const std::optional<int> exit_code =
          ParseDurationOption("--stop-grace", texts.stop_grace, &arguments->stop_grace)) {
    return exit_code;
  }
  return security.Take(CertifiedRole::kShard, &process->security);
}

}  // namespace arcshard::shard
