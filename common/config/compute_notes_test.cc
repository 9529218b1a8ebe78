#include "common/config/compute_notes.h"

#include <stdlib.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kAvx2[] =
    "processor\t: 0\nmodel name\t: A CPU with avx512_bf16 in its name\nflags\t\t: fpu avx avx2 bmi2\n";
constexpr char kAvx512[] = "flags\t\t: fpu avx2 avx512f avx512bw avx512vl\n";
constexpr char kBf16[] = "flags\t\t: fpu avx2 avx512f avx512_bf16 avx512_fp16\n";
constexpr char kAmx[] = "flags\t\t: fpu avx2 avx512f amx_bf16 amx_tile\n";

TEST(WhyBfloat16IsSlowTest, AProcessorWithoutInstructionsForItIsSlow) {
  for (const char* cpuinfo : {kAvx2, kAvx512, "Features\t: fp asimd i8mm\n"}) {
    EXPECT_THAT(WhyBfloat16IsSlow(cpuinfo, ""), StartsWith("this processor has no instructions for bfloat16"))
        << cpuinfo;
  }
  for (const char* cpuinfo : {kBf16, kAmx, "Features\t: fp asimd bf16 i8mm\n", "cpu\t: POWER10\n", ""}) {
    EXPECT_EQ(WhyBfloat16IsSlow(cpuinfo, ""), "") << cpuinfo;
  }
}

TEST(WhyBfloat16IsSlowTest, SoIsOneWhoseInstructionsOneDnnMayNotUse) {
  EXPECT_THAT(WhyBfloat16IsSlow(kBf16, "AVX2"), StartsWith("ONEDNN_MAX_CPU_ISA is AVX2, which excludes"));
  EXPECT_THAT(WhyBfloat16IsSlow(kAmx, "avx512_core"), StartsWith("ONEDNN_MAX_CPU_ISA is avx512_core"));
  EXPECT_EQ(WhyBfloat16IsSlow(kAmx, "AVX512_CORE_BF16"), "");
  EXPECT_EQ(WhyBfloat16IsSlow(kAmx, "DEFAULT"), "");
}

TEST(ComputeNotesTest, ARunInBfloat16IsToldTheReason) {
  RunConfig config;
  EXPECT_EQ(NoteOnBackboneCompute(config, "it is slow"), "");
  EXPECT_EQ(NoteOnHeadCompute(config, "it is slow"), "");
  config.backbone.compute = config.head.compute = "bfloat16";
  EXPECT_THAT(NoteOnBackboneCompute(config, "it is slow"), HasSubstr("backbone.compute is bfloat16, but it is slow: "));
  EXPECT_THAT(NoteOnHeadCompute(config, "it is slow"), HasSubstr("head.compute is bfloat16, but it is slow: "));
  EXPECT_EQ(NoteOnBackboneCompute(config, ""), "");
  EXPECT_EQ(NoteOnHeadCompute(config, ""), "");
}

#ifdef __x86_64__
TEST(WhyBfloat16IsSlowTest, TheMachinesOwnProcessorAndEnvironmentAreAsked) {
  setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
  EXPECT_THAT(WhyBfloat16IsSlow(), HasSubstr("instructions for bfloat16"));
  unsetenv("ONEDNN_MAX_CPU_ISA");
}
#endif

}  // namespace
}  // namespace arcshard
