#include "worker/backbone/layers/initialization.h"

#include <array>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "common/base/philox.h"

namespace arcshard::worker {
namespace {

constexpr uint64_t kStream = 0x6261636b626f6e65;  // "backbone": differs from other streams that use the run's seed

// Fills `out` with the four values of make(words) at a time.
template <typename Make>
void FillByFours(uint64_t seed, uint32_t parameter, absl::Span<float> out, Make make) {
  for (size_t i = 0; i < out.size(); i += 4) {
    const std::array<float, 4> values = make(Philox(seed ^ kStream, i / 4, parameter));
    for (size_t j = 0; j < 4 && i + j < out.size(); ++j) out[i + j] = values[j];
  }
}

}  // namespace

void FillNormal(uint64_t seed, uint32_t parameter, double stddev, absl::Span<float> out) {
  // Box and Muller's method, in double, so that versions of libm that differ in the last bit give the same floats.
  FillByFours(seed, parameter, out, [stddev](const std::array<uint32_t, 4>& words) {
    std::array<float, 4> values;
    for (int pair = 0; pair < 4; pair += 2) {
      const double radius = stddev * std::sqrt(-2 * std::log((words[pair] + 1.0) * 0x1p-32));
      const double angle = 2 * std::numbers::pi * (words[pair + 1] * 0x1p-32);
      values[pair] = static_cast<float>(radius * std::cos(angle));
      values[pair + 1] = static_cast<float>(radius * std::sin(angle));
    }
    return values;
  });
}

void FillUniform(uint64_t seed, uint32_t parameter, double bound, absl::Span<float> out) {
  FillByFours(seed, parameter, out, [bound](const std::array<uint32_t, 4>& words) {
    std::array<float, 4> values;
    for (int i = 0; i < 4; ++i) values[i] = static_cast<float>(bound * (2.0 * UniformFromWord(words[i]) - 1.0));
    return values;
  });
}

}  // namespace arcshard::worker
