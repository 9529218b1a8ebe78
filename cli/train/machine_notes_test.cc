#include "cli/train/machine_notes.h"

#include <stdlib.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

#ifdef __x86_64__
TEST(MachineNotesTest, WhatComputesInBfloat16OnACpuWithoutInstructionsForItIsNamed) {
  setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
  TrainOptions options;
  RunConfig config;
  EXPECT_THAT(NotesOnThisMachine(options, config), IsEmpty());
  config.backbone.compute = config.head.compute = "bfloat16";
  EXPECT_THAT(NotesOnThisMachine(options, config), ElementsAre(StartsWith("backbone.compute is bfloat16, but "),
                                                               StartsWith("head.compute is bfloat16, but ")));
  options.worker_devices = {"cuda"};
  EXPECT_THAT(NotesOnThisMachine(options, config), ElementsAre(StartsWith("head.compute is bfloat16, but ")));
  options.shard_devices = {"cuda:0", "cpu"};
  EXPECT_THAT(NotesOnThisMachine(options, config), ElementsAre(StartsWith("head.compute is bfloat16, but ")));
  options.shard_devices = {"cuda:0", "cuda:1"};
  EXPECT_THAT(NotesOnThisMachine(options, config), IsEmpty());
  unsetenv("ONEDNN_MAX_CPU_ISA");
}
#endif

}  // namespace
}  // namespace arcshard::cli
