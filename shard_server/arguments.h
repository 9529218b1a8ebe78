#pragma once

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "shard_server/shard_process.h"

namespace arcshard::shard {

// The command line of arcshard-shard.
struct Arguments {
  ShardProcess::Options process;
  std::string metrics_listen = "127.0.0.1:0";  // host:port
  absl::Duration stop_grace;                   // after a signal
  std::string trace;                           // file; empty: there is no trace
};

// Parses the command line. Returns an exit code if the program has to end, after it has printed its help or the error.
std::optional<int> ParseArguments(int argc, char** argv, Arguments* arguments);

}  // namespace arcshard::shard
