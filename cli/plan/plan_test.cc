#include "cli/plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class PlanTest : public ::testing::Test {
 protected:
  PlanTest() : path_(absl::StrCat(::testing::TempDir(), "/plan_test_", getpid(), ".yaml")) {
    std::ofstream(path_) << "data: {format: synthetic, synthetic_samples: 640, batch_size: 64, micro_batch_size: 32}\n"
                            "head: {classes: 1000000, exp_budget_mb: 128}\n"
                            "backbone: {embedding_size: 512}\n"
                            "cluster: {shards: 2, workers: 1}\n";
  }
  std::string Text(std::vector<std::string> overrides = {}, double shard_memory_gb = 0, bool json = false) const {
    const absl::StatusOr<std::string> text =
        PlanOf({.config = path_, .overrides = std::move(overrides), .shard_memory_gb = shard_memory_gb, .json = json});
    return text.ok() ? *text : absl::StrCat("error: ", absl::string_view(text.status().message()));
  }

  const std::string path_;
};

TEST_F(PlanTest, SaysWhatAShardAndAStepTake) {
  EXPECT_EQ(Text(), absl::StrCat(R"(1000000 classes of 512 dimensions over 2 shards; batches of 64 from 1 worker

run.folder: )",
                                 std::filesystem::path(path_).parent_path().string(), R"(/runs/run
data.train: none, data.format is synthetic

a shard holds 500000 classes, 4100 B each
  weights             976.6 MiB   float32
  moments             976.6 MiB   float32, sgd's one
  inverse norms         1.9 MiB
  kept exponentials   122.1 MiB   all; head.exp_budget_mb allows 128.0 MiB
  step buffers          3.1 MiB   embeddings and statistics in flight, blocks of threads
  replay log         1024.0 MiB   steps since the last checkpoint, at most (cluster.log_mb)
  the process         131.6 MiB   program and libraries, the same for every run
  resident           3235.8 MiB   on the CPU; with a GPU all but the process and the log is in its memory
  checkpoint copies  1024.0 MiB   of the host's memory while a checkpoint is written, at most (checkpoint.buffer_mb)
  checkpoint file    1953.1 MiB   on the disk, for each checkpoint that is kept

a step on the network, without the all-reduce of the workers
  a worker sends      258.0 KiB   to all shards: embeddings, labels, two floats a sample
  and receives        384.5 KiB   from all shards: sums over negatives, the own centers
  a shard sends       192.2 KiB   to all workers
  and receives        129.0 KiB   from all workers
  replay record       129.0 KiB   of one step; the log of a shard has room for 8128
)"));
}

TEST_F(PlanTest, AShardWithoutPeersOrWithoutMemoryForItHasNoLog) {
  for (const char* without : {"cluster.shards=1", "cluster.log_mb=0"}) {
    EXPECT_THAT(Text({without}), AllOf(Not(HasSubstr("replay log")), HasSubstr("all but the process is in its memory"),
                                       HasSubstr("of one step; each shard keeps two")))
        << without;
  }
}

TEST_F(PlanTest, SaysWhatSamplingAndAdamWAddAndWhatTheBudgetLeavesOut) {
  EXPECT_THAT(Text({"head.sample_rate=0.1", "optimizer.kind=adamw", "head.exp_budget_mb=1"}),
              AllOf(HasSubstr("about 50029 of its classes take part in a step (head.sample_rate 0.1), 10.0 %"),
                    HasSubstr("a list of about 50029"), HasSubstr("float32, adamw's two"),
                    HasSubstr("adamw's, one for each class"),
                    HasSubstr("1.0 MiB   head.exp_budget_mb; all would be 12.2 MiB, the others are computed twice")));
}

TEST_F(PlanTest, SaysHowManyShardsOfAMemoryAreNeeded) {
  EXPECT_THAT(Text({}, 2.5), HasSubstr("shards of 2.5 GiB: 3 are needed; one has room for 33"));
  EXPECT_THAT(Text({"cluster.log_mb=0"}, 1.5), HasSubstr("shards of 1.5 GiB: 3 are needed; one has room for 33"));
  EXPECT_THAT(Text({}, 8), HasSubstr("shards of 8 GiB: 1 is needed"));
  EXPECT_THAT(
      Text({"cluster.log_mb=0"}, 0.1),
      HasSubstr("shards of 0.1 GiB have no room for any class: the process and a step's buffers take 134.7 MiB"));
  EXPECT_THAT(Text({}, 1), HasSubstr("shards of 1 GiB have no room for any class: the process, the replay log "
                                     "(cluster.log_mb) and a step's buffers take 1158.7 MiB"));
  EXPECT_THAT(Text(), Not(HasSubstr("shards of")));
}

TEST_F(PlanTest, JsonHasTheSameFiguresInBytes) {
  const nlohmann::json json = nlohmann::json::parse(Text({}, 2.5, true));
  EXPECT_EQ(json["classes"], 1000000);
  EXPECT_EQ(json["run_folder"], std::filesystem::path(path_).parent_path().string() + "/runs/run");
  EXPECT_EQ(json["shard"]["weights_bytes"], 500000 * 512 * 4);
  EXPECT_EQ(json["shard"]["bytes_per_class"], 4100);
  EXPECT_EQ(json["shard"]["replay_log_bytes"], 1 << 30);
  EXPECT_EQ(json["choice"]["shards_needed"], 3);
  EXPECT_EQ(json["step"]["shard_receives_bytes"], 64 * (512 * 4 + 16));
}

#ifdef __x86_64__
TEST_F(PlanTest, ARunInBfloat16IsToldThatThisMachineHasNoInstructionsForIt) {
  setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
  EXPECT_THAT(Text({"backbone.compute=bfloat16"}), HasSubstr("note: backbone.compute is bfloat16, but "));
  EXPECT_THAT(Text({"head.compute=bfloat16"}), HasSubstr("note: head.compute is bfloat16, but "));
  EXPECT_EQ(nlohmann::json::parse(Text({"backbone.compute=bfloat16"}, 0, true))["notes"].size(), 1u);
  EXPECT_THAT(Text(), Not(HasSubstr("note:")));
  unsetenv("ONEDNN_MAX_CPU_ISA");
}
#endif

TEST_F(PlanTest, WithoutANumberOfClassesTheDataAreAsked) {
  EXPECT_THAT(
      Text({"head.classes=0", "data.format=auto", "data.train=/nowhere"}),
      AllOf(HasSubstr(path_), HasSubstr("head.classes does not give the number of classes"), HasSubstr("/nowhere")));
}

TEST_F(PlanTest, AMistakeInTheConfigurationIsNamed) { EXPECT_THAT(Text({"head.clases=5"}), HasSubstr("head.clases")); }

}  // namespace
}  // namespace arcshard::cli
