// service_bench runs, prints all its figures, and removes its files. The run is so small that the figures mean nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "bench/testing/bench_test.h"

namespace arcshard::bench {
namespace {

using nlohmann::json;
using ::testing::IsSupersetOf;

class ServiceBench : public BenchTest {
 protected:
  ServiceBench() : BenchTest("service_bench --batch 8 --micro-batch 4 --dim 16 --classes 300 --steps 3") {}
};

TEST_F(ServiceBench, WithoutANetworkAllFiguresOfTheServiceAreThereAndTheTraceIsKept) {
  const json result = Bench("--trace " + folder_ + "/trace.json");
  ExpectPositive(
      result, {"step_ms", "step_ms_quartile_1", "step_ms_quartile_3", "worker_forward_ms", "worker_wait_for_shards_ms",
               "worker_loss_ms", "worker_all_reduce_ms", "worker_sum_ms", "worker_vote_ms", "worker_optimizer_ms",
               "worker_send_ms", "shard_pass_1_ms", "shard_pass_2_ms", "shard_send_ms", "shard_wait_for_workers_ms",
               "shard_wait_for_the_coordinator_ms", "processor_ms", "shard_0_resident_mb", "shard_1_peak_mb",
               "worker_1_resident_mb", "coordinator_resident_mb", "resident_mb",
               // Each a little more or less than a step's, since processes are asked one after the other.
               "worker_sent_bytes", "shard_received_bytes"});
  for (const char* const share : {"uncovered_share", "worker_idle_share", "shard_idle_share"}) {
    EXPECT_GT(result[share].get<double>(), 0.0) << share;
    EXPECT_LT(result[share].get<double>(), 1.0) << share;
  }
  EXPECT_EQ(result["options"]["backbone"], "none");
  std::ifstream trace(folder_ + "/trace.json");
  std::set<std::string> processes;
  for (const json& event : json::parse(trace)) {
    if (event["name"] == "process_name") processes.insert(event["args"]["name"].get<std::string>());
  }
  EXPECT_THAT(processes, IsSupersetOf({"coordinator", "shard 0", "shard 1", "worker 0", "worker 1"}));
  EXPECT_TRUE(std::filesystem::is_empty(runs()));
}

TEST_F(ServiceBench, ABackboneSampledClassesAndAnyKeyCanBeAskedFor) {
  const json result = Bench(
      "--backbone iresnet18 --width 4 --sample-rate 0.5 --shards 1 --workers 1 "
      "--set head.weights=bfloat16 --set head.exp_budget_mb=1");
  ExpectPositive(result, {"step_ms", "worker_backward_ms", "shard_begin_ms", "shard_pass_1_ms"});
  EXPECT_EQ(result["options"]["set"], json({"head.weights=bfloat16", "head.exp_budget_mb=1"}));
}

TEST_F(ServiceBench, TellsWhatTheTraceCosts) {
  ExpectPositive(Bench("--trace-pairs 2"), {"trace_ratio", "trace_ratio_quartile_1", "trace_ratio_quartile_3",
                                            "trace_processor_ratio", "trace_processor_ratio_quartile_1"});
  EXPECT_TRUE(std::filesystem::is_empty(runs()));
}

}  // namespace
}  // namespace arcshard::bench
