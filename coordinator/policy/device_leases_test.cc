#include "coordinator/policy/device_leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// Each machine has two GPUs: machine "b" has GPU-b0 and GPU-b1.
DeviceRequest RequestOf(const std::string& machine, const std::string& replica) {
  return {.machine = machine,
          .replica = replica,
          .devices = {{absl::StrCat("GPU-", machine, "0"), "H100"}, {absl::StrCat("GPU-", machine, "1"), "H100"}}};
}

class DeviceLeasesTest : public ::testing::Test {
 protected:
  // The uuid of the leased device, or the error.
  std::string Lease(uint64_t holder, const DeviceRequest& request) {
    const auto device = leases_.Lease(holder, absl::StrCat("shard ", holder), request);
    return device.ok() ? device->uuid : std::string(device.status().message());
  }
  std::string Lease(uint64_t holder, const std::string& machine, const std::string& replica) {
    return Lease(holder, RequestOf(machine, replica));
  }
  static DeviceRequest Sharing(DeviceRequest request) {
    request.share = true;
    return request;
  }
  static DeviceRequest Holding(DeviceRequest request, const std::string& uuid) {
    request.held = uuid;
    return request;
  }
  // Leases to four shards on machines a and b.
  void LeaseAll() {
    EXPECT_EQ(Lease(0, "a", "shard-0"), "GPU-a0");
    EXPECT_EQ(Lease(1, "b", "shard-1"), "GPU-b0");
    EXPECT_EQ(Lease(2, "a", "shard-2"), "GPU-a1");
    EXPECT_EQ(Lease(3, "b", "shard-3"), "GPU-b1");
  }

  DeviceLeases leases_;
};

TEST_F(DeviceLeasesTest, FourShardsOnTwoMachinesOfTwoGpusGetOneEach) { LeaseAll(); }

TEST_F(DeviceLeasesTest, AFifthIsToldWhoHasThem) {
  LeaseAll();
  const auto fifth = leases_.Lease(4, "shard 4 (pid 9 on a)", RequestOf("a", "shard-4"));
  EXPECT_EQ(fifth.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(fifth.status().message(),
            "no GPU is left for shard 4 (pid 9 on a): all 2 that it sees are leased, GPU-a0 (H100) to shard 0, GPU-a1 "
            "(H100) to shard 2; start fewer shards on that machine, or all with --share-device");
}

TEST_F(DeviceLeasesTest, OneThatSeesOneGpuOnlyIsToldWhoHasIt) {
  LeaseAll();
  DeviceRequest request = RequestOf("a", "shard-4");
  request.devices.pop_back();
  EXPECT_THAT(Lease(4, request), HasSubstr("the only one that it sees is leased, GPU-a0 (H100) to shard 0"));
}

TEST_F(DeviceLeasesTest, ARestartTakesItsOwnDeviceAgainWhateverTheOrder) {
  LeaseAll();
  leases_.Release(0);
  leases_.Release(2);
  EXPECT_EQ(Lease(10, "a", "shard-2"), "GPU-a1");
  EXPECT_EQ(Lease(11, "a", "shard-0"), "GPU-a0");
}

TEST_F(DeviceLeasesTest, ANewcomerLeavesTheDeviceOfOneThatMayComeAgain) {
  EXPECT_EQ(Lease(0, "a", "shard-0"), "GPU-a0");
  leases_.Release(0);
  EXPECT_EQ(Lease(1, "a", "shard-1"), "GPU-a1");
  EXPECT_EQ(Lease(2, "a", "shard-0"), "GPU-a0");
}

TEST_F(DeviceLeasesTest, ANewcomerTakesItWhereNothingElseIsFree) {
  LeaseAll();
  leases_.Release(0);
  EXPECT_EQ(Lease(4, "a", "shard-4"), "GPU-a0");
  EXPECT_THAT(Lease(5, "a", "shard-0"), HasSubstr("no GPU is left"));
  leases_.Release(4);
  EXPECT_EQ(Lease(6, "a", "shard-4"), "GPU-a0") << "shard-0 is forgotten";
}

TEST_F(DeviceLeasesTest, ALeaseEndsWithItsHolder) {
  LeaseAll();
  EXPECT_THAT(Lease(4, "a", "shard-4"), HasSubstr("no GPU is left"));
  leases_.Release(2);
  EXPECT_EQ(Lease(4, "a", "shard-4"), "GPU-a1");
  leases_.Release(77);  // holds nothing
  EXPECT_THAT(Lease(5, "a", "shard-5"), HasSubstr("no GPU is left"));
}

TEST_F(DeviceLeasesTest, WhoAsksAgainGetsWhatItHas) {
  EXPECT_EQ(Lease(0, "a", "shard-0"), "GPU-a0");
  EXPECT_EQ(Lease(0, "a", "shard-0"), "GPU-a0");
  EXPECT_EQ(Lease(1, "a", "shard-1"), "GPU-a1");
}

TEST_F(DeviceLeasesTest, TheSameUuidOnAnotherMachineIsAnotherDevice) {
  DeviceRequest request = RequestOf("a", "shard-0");
  EXPECT_EQ(Lease(0, request), "GPU-a0");
  request.machine = "c";
  EXPECT_EQ(Lease(1, request), "GPU-a0");
}

TEST_F(DeviceLeasesTest, StateStaysWhereItIs) {
  EXPECT_EQ(Lease(0, Holding(RequestOf("a", "shard-0"), "GPU-a1")), "GPU-a1");
  const auto other = leases_.Lease(1, "shard 1", Holding(RequestOf("a", "shard-1"), "GPU-a1"));
  EXPECT_EQ(other.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(other.status().message(), "shard 1 holds its state on GPU GPU-a1, but that is leased to shard 0");
  EXPECT_EQ(leases_.Lease(1, "shard 1", Holding(RequestOf("a", "shard-1"), "GPU-x")).status().message(),
            "shard 1 holds its state on GPU GPU-x, which it does not see");
}

TEST_F(DeviceLeasesTest, SharersSpreadOverTheDevices) {
  for (const uint64_t i : {0, 1, 2, 3, 4}) {
    EXPECT_EQ(Lease(i, Sharing(RequestOf("a", absl::StrCat("shard-", i)))), i % 2 == 0 ? "GPU-a0" : "GPU-a1");
  }
  leases_.Release(1);
  leases_.Release(0);
  EXPECT_EQ(Lease(11, Sharing(RequestOf("a", "shard-1"))), "GPU-a1");
  EXPECT_EQ(Lease(10, Sharing(RequestOf("a", "shard-0"))), "GPU-a0");
}

TEST_F(DeviceLeasesTest, NobodySharesWithOneThatWasNotToldTo) {
  EXPECT_EQ(Lease(0, "a", "shard-0"), "GPU-a0");
  EXPECT_EQ(Lease(1, Sharing(RequestOf("a", "shard-1"))), "GPU-a1");
  EXPECT_EQ(Lease(2, Sharing(RequestOf("a", "shard-2"))), "GPU-a1");
  EXPECT_THAT(Lease(3, "a", "shard-3"), HasSubstr("GPU-a1 (H100) to shard 1 and shard 2"));
}

TEST_F(DeviceLeasesTest, WhatItRemembersServesItsNextLife) {
  LeaseAll();
  leases_ = DeviceLeases(leases_.history());
  EXPECT_EQ(Lease(0, "b", "shard-3"), "GPU-b1");
  EXPECT_EQ(Lease(1, "a", "shard-2"), "GPU-a1");
  EXPECT_EQ(Lease(2, "a", "shard-0"), "GPU-a0");
  EXPECT_EQ(Lease(3, "b", "shard-1"), "GPU-b0");
  EXPECT_THAT(leases_.history(),
              UnorderedElementsAre(PastLease{"a", "GPU-a0", "shard-0"}, PastLease{"b", "GPU-b0", "shard-1"},
                                   PastLease{"a", "GPU-a1", "shard-2"}, PastLease{"b", "GPU-b1", "shard-3"}));
}

TEST_F(DeviceLeasesTest, TwoProcessesOfOneNameGetOneDeviceEach) {
  EXPECT_EQ(Lease(0, "a", "host-a"), "GPU-a0");
  EXPECT_EQ(Lease(1, "a", "host-a"), "GPU-a1");
  leases_.Release(0);
  leases_.Release(1);
  EXPECT_EQ(Lease(2, "a", "host-a"), "GPU-a0");
  EXPECT_EQ(Lease(3, "a", "host-a"), "GPU-a1");
}

TEST_F(DeviceLeasesTest, ARequestThatNamesNoDeviceOrMachineIsRefused) {
  const DeviceRequest good = RequestOf("a", "shard-0");
  DeviceRequest bad = good;
  bad.machine = "";
  EXPECT_THAT(Lease(0, bad), HasSubstr("does not name its machine"));
  bad = good;
  bad.devices.clear();
  EXPECT_THAT(Lease(0, bad), HasSubstr("asks for one of 0 GPUs; it must be 1 to 64"));
  bad.devices.assign(65, {"GPU"});
  EXPECT_THAT(Lease(0, bad), HasSubstr("asks for one of 65 GPUs"));
  bad = good;
  bad.devices[1].uuid = "";
  EXPECT_THAT(Lease(0, bad), HasSubstr("names a GPU without its uuid"));
  bad.devices[1].uuid = "GPU-a0";
  EXPECT_THAT(Lease(0, bad), HasSubstr("names GPU GPU-a0 twice"));
  EXPECT_EQ(Lease(0, good), "GPU-a0") << "a refusal leaves no lease";
}

}  // namespace
}  // namespace arcshard::coordinator
