#include "shard_server/head/testing/test_device.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "shard_server/head/gpu.h"

namespace arcshard::head {
namespace {

constexpr int kSkipped = 77;  // the SKIP_RETURN_CODE of arcshard_test

class SkipWithoutGpu : public testing::Environment {
 public:
  void SetUp() override {
    if (TestDevice() == Device::kCpu) return;
    const absl::Status status = CheckGpu(0);
    if (status.ok()) return;
    // After GTEST_SKIP in an environment, every test would count as passed.
    std::printf("[  SKIPPED ] all tests: %s\n", std::string(status.message()).c_str());
    std::exit(kSkipped);
  }
};

const testing::Environment* const kSkipWithoutGpu = testing::AddGlobalTestEnvironment(new SkipWithoutGpu);

}  // namespace

Device TestDevice() {
  const char* const device = std::getenv("ARCSHARD_TEST_DEVICE");
  return device != nullptr && absl::string_view(device) == "cuda" ? Device::kCuda : Device::kCpu;
}

}  // namespace arcshard::head
