#include "shard_server/device_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/this_process.h"
#include "shard_server/device_lease.h"

namespace arcshard::shard {
namespace {

using ::testing::ElementsAre;

const std::vector<head::GpuInfo> kGpus = {{0, "GPU-a", "H100", 1000}, {1, "GPU-b", "A100", 2000}};
constexpr DeviceName kAny = {.cuda = true, .any = true};

TEST(DeviceRequestTest, AnyGpuIsOneOfAll) {
  const auto request = RequestDevice(kAny, kGpus, "shard-0", true, 0);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->machine, MachineId());
  EXPECT_FALSE(request->machine.empty());
  EXPECT_EQ(request->replica, "shard-0");
  EXPECT_TRUE(request->share);
  EXPECT_EQ(request->held, "");
  EXPECT_THAT(request->devices, ElementsAre(VisibleDevice{"GPU-a", "H100", 900}, VisibleDevice{"GPU-b", "A100", 1800}));
}

TEST(DeviceRequestTest, ANumberIsThatGpuAlone) {
  const auto request = RequestDevice({.cuda = true, .index = 1}, kGpus, "shard-0", false, 0);
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_THAT(request->devices, ElementsAre(VisibleDevice{"GPU-b", "A100", 1800}));
}

TEST(DeviceRequestTest, AGivenCapacityIsTheSameOnEachGpu) {
  const auto request = RequestDevice(kAny, kGpus, "shard-0", false, 77);
  ASSERT_TRUE(request.ok()) << request.status();
  for (const VisibleDevice& device : request->devices) EXPECT_EQ(device.capacity_bytes, 77u);
}

TEST(DeviceRequestTest, AGpuThatIsNotThereIsRefused) {
  EXPECT_EQ(RequestDevice({.cuda = true, .index = 2}, kGpus, "shard-0", false, 0).status().message(),
            "there is no cuda:2: this process sees 2 CUDA devices");
  EXPECT_EQ(RequestDevice(kAny, {}, "shard-0", false, 0).status().code(), absl::StatusCode::kNotFound);
}

TEST(DeviceLeaseTest, WhoRegistersAgainAsksForTheGpuThatHoldsItsState) {
  DeviceLease lease(
      {.device = kAny, .share = false, .name = "shard-0", .capacity_bytes = 0, .list_gpus = [] { return kGpus; }});
  EXPECT_EQ((*lease.Request())->held, "");
  ASSERT_TRUE(lease.Take("GPU-b").ok());
  EXPECT_EQ((*lease.Request())->held, "GPU-b");
  EXPECT_TRUE(lease.Take("GPU-b").ok());
  EXPECT_EQ(lease.gpu(), 1);
  const absl::Status other = lease.Take("GPU-a");
  EXPECT_EQ(other.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(other.message(), "the coordinator leased GPU 'GPU-a', but this process holds its classes on 'GPU-b'");
  EXPECT_EQ(lease.gpu(), 1);
}

TEST(DeviceRequestTest, TheLeasedGpuIsFoundByItsUuid) {
  EXPECT_EQ(LeasedGpu("GPU-b", kGpus)->index, 1);
  EXPECT_EQ(LeasedGpu("", kGpus).status().message(), "the coordinator leased GPU '', which this process does not see");
}

}  // namespace
}  // namespace arcshard::shard
