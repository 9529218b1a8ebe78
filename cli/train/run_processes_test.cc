#include "cli/train/run_processes.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

TEST(RunProcessesTest, TheCoordinatorGetsTheConfigurationAndHowToStart) {
  const Process::Options process = CoordinatorProcess({.config = "run/config.yaml",
                                                       .overrides = {"a=1", "b=2"},
                                                       .resume = "run",
                                                       .allow_older = true,
                                                       .bin_folder = "bin"},
                                                      "127.0.0.1:4711", 5);
  EXPECT_THAT(process.arguments,
              ElementsAre("--config", "run/config.yaml", "--listen", "127.0.0.1:4711", "--announce-fd", "5",
                          "--stop-grace=inf", "--set", "a=1", "--set", "b=2", "--resume", "yes", "--allow-older"));
  EXPECT_EQ(process.inherit_fd, 5);
}

TEST(RunProcessesTest, ALaterLifeOfTheCoordinatorListensWhereItDidAndResumesWhateverThereIs) {
  const Process::Options process = LaterCoordinatorProcess("run/logs/config.yaml", "127.0.0.1:4711", 7);
  EXPECT_THAT(process.arguments, ElementsAre("--config", "run/logs/config.yaml", "--listen", "127.0.0.1:4711",
                                             "--announce-fd", "7", "--stop-grace=inf", "--resume", "auto"));
  EXPECT_EQ(process.inherit_fd, 7);
  EXPECT_THAT(process.environment, Contains("OMP_NUM_THREADS=1"));
}

TEST(RunProcessesTest, ALaterLifeOfAShardHasItsDeviceAndNameAndWaitsForAPlace) {
  TrainOptions options;
  options.shard_devices = {"cuda:0", "cuda:1"};
  RunConfig config;
  config.cluster.shards = 2;
  EXPECT_THAT(
      LaterShardProcess(options, config, "h:1", 1).arguments,
      ElementsAre("--coordinator", "h:1", "--device", "cuda:1", "--name", "shard-1", "--stop-grace=inf", "--spare"));
}

TEST(RunProcessesTest, DevicesAreAssignedInTurnAndASharedGpuIsSaid) {
  TrainOptions options;
  options.shard_devices = {"cuda:0", "cuda:1"};
  options.worker_devices = {"cpu", "cuda"};
  RunConfig config;
  config.cluster.shards = 3;
  EXPECT_THAT(ShardProcess(options, config, "h:1", 0).arguments,
              ElementsAre("--coordinator", "h:1", "--device", "cuda:0", "--name", "shard-0", "--stop-grace=inf",
                          "--share-device"));
  EXPECT_THAT(ShardProcess(options, config, "h:1", 1).arguments,
              AllOf(Contains("cuda:1"), Not(Contains("--share-device"))));
  EXPECT_THAT(ShardProcess(options, config, "h:1", 2).arguments, AllOf(Contains("cuda:0"), Contains("--share-device")));
  EXPECT_THAT(WorkerProcess(options, config, "h:1", 3).arguments,
              ElementsAre("--coordinator", "h:1", "--device", "cuda", "--stop-grace=inf"));
  EXPECT_THAT(WorkerProcess({}, config, "h:1", 3).arguments, Contains("cpu"));
}

TEST(RunProcessesTest, EveryProcessGetsItsThreadsAndNoTls) {
  RunConfig config;
  config.cluster.worker_threads = 3;
  EXPECT_THAT(WorkerProcess({}, config, "h:1", 0).environment,
              AllOf(Contains("OMP_NUM_THREADS=3"), Contains("MKL_NUM_THREADS=3"), Contains("ARCSHARD_TLS_CA=")));
}

}  // namespace
}  // namespace arcshard::cli
