#include "common/base/device_name.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace arcshard {

absl::StatusOr<DeviceName> ParseDeviceName(absl::string_view text) {
  if (text == "cpu") return DeviceName{};
  if (text == "cuda") return DeviceName{.cuda = true, .any = true};
  constexpr int kMaxIndex = 127;  // LibTorch's limit
  DeviceName device = {.cuda = true};
  absl::string_view index = text;
  if (absl::ConsumePrefix(&index, "cuda:") && !index.empty() && index.front() >= '0' && index.front() <= '9' &&
      absl::SimpleAtoi(index, &device.index) && device.index <= kMaxIndex) {
    return device;
  }
  return absl::InvalidArgumentError(absl::StrCat("'", text, "' is no device; it must be cpu, cuda or cuda:N"));
}

std::string ToString(const DeviceName& device) { return device.cuda ? absl::StrCat("cuda:", device.index) : "cpu"; }

}  // namespace arcshard
