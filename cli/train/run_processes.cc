#include "cli/train/run_processes.h"

#include <cstdlib>
#include <vector>

#include "absl/strings/str_cat.h"

namespace arcshard::cli {
namespace {

// Libraries read their number of threads from the environment when they are loaded, and also how these threads wait for
// each other. They must sleep: the processes of a run share this machine's cores, and threads that spin take the cores
// from those that they wait for.
std::vector<std::string> ThreadEnvironment(int threads) {
  std::vector<std::string> environment = {absl::StrCat("OMP_NUM_THREADS=", threads),
                                          absl::StrCat("MKL_NUM_THREADS=", threads),
                                          // Processes of one machine need no TLS, whatever the caller's settings are.
                                          "ARCSHARD_TLS_CA=", "ARCSHARD_TLS_CERT=", "ARCSHARD_TLS_KEY="};
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) environment.emplace_back("OMP_WAIT_POLICY=passive");
  return environment;
}

// The user decides when a run that is being stopped ends at once (Supervisor).
constexpr char kStopGrace[] = "--stop-grace=inf";

std::string DeviceOf(const std::vector<std::string>& devices, uint32_t index) {
  return devices.empty() ? "cpu" : devices[index % devices.size()];
}

// Whether another of `count` processes gets the GPU that process `index` gets.
bool IsShared(const std::vector<std::string>& devices, uint32_t count, uint32_t index) {
  const std::string device = DeviceOf(devices, index);
  if (device == "cpu" || device == "cuda") return false;
  for (uint32_t other = 0; other < count; ++other) {
    if (other != index && DeviceOf(devices, other) == device) return true;
  }
  return false;
}

}  // namespace

Process::Options CoordinatorProcess(const TrainOptions& options, const std::string& listen, int announce_fd) {
  Process::Options process;
  process.arguments = {"--config", options.config, "--listen", listen, "--announce-fd", absl::StrCat(announce_fd),
                       kStopGrace};
  for (const std::string& override : options.overrides) {
    process.arguments.insert(process.arguments.end(), {"--set", override});
  }
  if (!options.resume.empty()) process.arguments.insert(process.arguments.end(), {"--resume", "yes"});
  if (options.restart) process.arguments.push_back("--restart");
  if (options.allow_older) process.arguments.push_back("--allow-older");
  process.environment = ThreadEnvironment(1);
  process.inherit_fd = announce_fd;
  return process;
}

Process::Options LaterCoordinatorProcess(const std::string& config, const std::string& address, int announce_fd) {
  Process::Options process;
  process.arguments = {"--config", config,     "--listen", address, "--announce-fd", absl::StrCat(announce_fd),
                       kStopGrace, "--resume", "auto"};
  process.environment = ThreadEnvironment(1);
  process.inherit_fd = announce_fd;
  return process;
}

Process::Options ShardProcess(const TrainOptions& options, const RunConfig& config, const std::string& coordinator,
                              uint32_t index) {
  Process::Options process;
  process.arguments = {"--coordinator", coordinator,
                       "--device",      DeviceOf(options.shard_devices, index),
                       "--name",        absl::StrCat("shard-", index),
                       kStopGrace};
  if (IsShared(options.shard_devices, config.cluster.shards, index)) process.arguments.push_back("--share-device");
  process.environment = ThreadEnvironment(config.cluster.shard_threads);
  return process;
}

Process::Options LaterShardProcess(const TrainOptions& options, const RunConfig& config, const std::string& coordinator,
                                   uint32_t index) {
  Process::Options process = ShardProcess(options, config, coordinator, index);
  process.arguments.push_back("--spare");
  return process;
}

Process::Options WorkerProcess(const TrainOptions& options, const RunConfig& config, const std::string& coordinator,
                               uint32_t index) {
  Process::Options process;
  process.arguments = {"--coordinator", coordinator, "--device", DeviceOf(options.worker_devices, index), kStopGrace};
  process.environment = ThreadEnvironment(config.cluster.worker_threads);
  return process;
}

}  // namespace arcshard::cli
