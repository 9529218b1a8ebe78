// --device of shards and workers, and the two options of arcshard train that set it.
#include "gmock/gmock.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr int kFailed = 1;
constexpr int kUsage = 2;

class DeviceTest : public ProcessTestBase {};

TEST_F(DeviceTest, AWordThatIsNoDeviceIsRefusedWithTheAllowedForms) {
  for (const char* program : {"arcshard-shard", "arcshard-worker"}) {
    EXPECT_THAT(ErrorOf(program, {"--coordinator", "127.0.0.1:1", "--device", "gpu"}, kUsage),
                AllOf(HasSubstr("--device 'gpu'"), HasSubstr("cpu, cuda or cuda:N")));
  }
  Write("run.yaml", "data: {train: t}\n");
  EXPECT_THAT(ErrorOf("arcshard", {"train", Path("run.yaml"), "--shard-device", "cpu,cuda:x"}, kFailed),
              HasSubstr("'cuda:x' is no device"));
}

TEST_F(DeviceTest, AMissingGpuIsRefusedBeforeTheCoordinatorIsAsked) {
  for (const char* program : {"arcshard-shard", "arcshard-worker"}) {
    // The error depends on whether there is GPU code in this build, a driver, and how many GPUs.
    EXPECT_THAT(ErrorOf(program, {"--coordinator", "127.0.0.1:1", "--device", "cuda:99"}, kFailed),
                AnyOf(HasSubstr("no code for GPUs"), HasSubstr("no CUDA device can be used"),
                      HasSubstr("there is no CUDA device 99")));
  }
}

}  // namespace
}  // namespace arcshard
