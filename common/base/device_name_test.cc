#include "common/base/device_name.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(DeviceNameTest, TheCpuAndEachGpuHaveAName) {
  EXPECT_EQ(*ParseDeviceName("cpu"), DeviceName{});
  EXPECT_EQ(*ParseDeviceName("cuda"), (DeviceName{true, 0, true}));
  EXPECT_EQ(*ParseDeviceName("cuda:0"), (DeviceName{true, 0}));
  EXPECT_EQ(*ParseDeviceName("cuda:7"), (DeviceName{true, 7}));
}

TEST(DeviceNameTest, ANameIsReadBack) {
  EXPECT_EQ(ToString(DeviceName{}), "cpu");
  EXPECT_EQ(ToString(DeviceName{true, 3}), "cuda:3");
}

TEST(DeviceNameTest, AnythingElseIsRefusedWithWhatMayStandThere) {
  for (const char* text :
       {"", "CPU", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda: 1", "cuda:1x", "cuda:128", "cuda:99999999999"}) {
    const absl::Status status = ParseDeviceName(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("it must be cpu, cuda or cuda:N"));
  }
}

}  // namespace
}  // namespace arcshard
