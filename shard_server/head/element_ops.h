#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "common/base/philox.h"

// What one element of a block computes (DESIGN §1). The loops over them are block_ops.cc on the CPU; a GPU kernel calls
// the same functions, so the tests of the CPU head cover its arithmetic.

#ifdef __CUDACC__
#define ARCSHARD_HOST_DEVICE __host__ __device__
#else
#define ARCSHARD_HOST_DEVICE
#endif

namespace arcshard::head {

// exp(l - a) of one negative, l = s·c with the cosine c clamped to [-1, 1], a = s + ln N - 69.
//
// 2^y with y = l·log2(e): y is split into the nearest integer and a rest in [-1/2, 1/2], whose power is a polynomial
// (Cephes, exp2f; relative error 2e-8). exp(-a) is folded into the coefficients, in double: a shift subtracted from l
// in float32 would cost up to 4e-6 of every term, all with the same sign. |y| <= 80·log2(e) < 127, so the exponent
// never leaves float32's range; a NaN stays a NaN.
struct NegativeExponential {
  float limit = 0;             // s·log2(e), the |y| of a cosine of 1
  float coefficients[7] = {};  // of f^0 ... f^6, times exp(-a)

  NegativeExponential(double scale, int64_t num_classes) {
    constexpr double kLog2E = 1.44269504088896340736;
    constexpr double kPolynomial[7] = {1.0,
                                       6.931472028550421e-01,
                                       2.402264791363012e-01,
                                       5.550332471162809e-02,
                                       9.618437357674640e-03,
                                       1.339887440266574e-03,
                                       1.535336188319500e-04};
    limit = static_cast<float>(scale * kLog2E);
    const double exp_minus_a = std::exp(-ShiftOf(scale, num_classes));
    for (int i = 0; i < 7; ++i) coefficients[i] = static_cast<float>(kPolynomial[i] * exp_minus_a);
  }

  // a, so that no sum over N classes exceeds e^69.
  static double ShiftOf(double scale, int64_t num_classes) {
    return scale + std::log(static_cast<double>(num_classes)) - 69.0;
  }

  // What the product w_j·e_hat_i is to be multiplied by: s·log2(e)/|w_j|.
  ARCSHARD_HOST_DEVICE float RowScale(float inverse_norm) const { return inverse_norm * limit; }

  ARCSHARD_HOST_DEVICE float operator()(float dot, float row_scale) const {
    float y = dot * row_scale;
    y = limit < y ? limit : y;  // in this order of operands a NaN passes
    y = y < -limit ? -limit : y;
    constexpr float kRounder = 12582912.0f;  // 1.5·2^23: the sum's last bits are the nearest integer
    const float shifted = y + kRounder;
    const float f = y - (shifted - kRounder);
    float p = coefficients[6];
    p = p * f + coefficients[5];
    p = p * f + coefficients[4];
    p = p * f + coefficients[3];
    p = p * f + coefficients[2];
    p = p * f + coefficients[1];
    p = p * f + coefficients[0];
    const float power = std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000u);
    return p * power;
  }
};

// 1/|x| from the sum of squares; 0 for a norm below 1e-12, which makes the unit vector 0 and the gradient through it 0.
ARCSHARD_HOST_DEVICE inline float InverseNorm(float sum_of_squares) {
  return sum_of_squares < 1e-24f ? 0.0f : 1.0f / std::sqrt(sum_of_squares);
}

// SGD on one weight, with the tangent projection fused: h is an element of H = (dL/dw_hat)/|w|, `radial` is
// (H·w)/|w|^2, so that dL/dw = h - radial·w.
struct SgdStep {
  float lr = 0;
  float momentum = 0;
  float weight_decay = 0;

  ARCSHARD_HOST_DEVICE void operator()(float h, float radial, float& w, float& v) const {
    v = momentum * v + (h + (weight_decay - radial) * w);
    w = w - lr * v;
  }
};

// The first weights of dimensions 4·quad ... 4·quad + 3 of class j: 0.01·normal (Box-Muller over the four words of one
// counter), a function of (seed, j, d) alone.
ARCSHARD_HOST_DEVICE inline void FirstWeights(uint64_t seed, int64_t j, int64_t quad, float out[4]) {
  const auto words = Philox(seed, static_cast<uint64_t>(j), static_cast<uint64_t>(quad));
  for (int pair = 0; pair < 2; ++pair) {
    const float u = 1.0f - UniformFromWord(words[2 * pair]);  // in (0, 1]
    const float radius = 0.01f * std::sqrt(-2.0f * std::log(u));
    const float angle = 6.28318530717958648f * UniformFromWord(words[2 * pair + 1]);
    out[2 * pair] = radius * std::cos(angle);
    out[2 * pair + 1] = radius * std::sin(angle);
  }
}

}  // namespace arcshard::head
