#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "common/base/host_device.h"
#include "common/protocol/logit_shift.h"

// The arithmetic of one element of a block (docs/design.md §1). cpu/kernels/block_ops.cc has the loops over elements on
// the CPU; the GPU's kernels call the same functions, so the tests of the CPU head cover their arithmetic too.
namespace arcshard::head {

// The contribution of one negative: `p` to z, `q` as an element of Q.
struct NegativeTerm {
  float p = 0;  // exp(l - a)
  float q = 0;  // exp(l - a)/|w_j|
};

// exp(l - a) of one negative, with l = s·c, the cosine c clamped to [-1, 1], and a = s + ln N - 69 (docs/design.md §1).
// Where c exceeds the filter (InsightFace's inter-class filter), l is 0 and there is no gradient: p = exp(-a), q = 0.
//
// exp(l) is computed as 2^y with y = l·log2(e). y is split into the nearest integer and a remainder f in [-1/2, 1/2];
// 2^f is a polynomial (exp2f of the Cephes library; relative error 2e-8). exp(-a) is folded into its coefficients, in
// double: subtracting a from l in float32 would add an error of up to 4e-6 to every term, always with the same sign.
// |y| <= 80·log2(e) < 127, so the exponent stays in the range of float32. A NaN stays a NaN.
struct NegativeExponential {
  float limit = 0;             // s·log2(e): |y| at a cosine of 1
  float filter_limit = 0;      // y at the filter's cosine
  float coefficients[7] = {};  // for f^0 ... f^6, times exp(-a)

  NegativeExponential(double scale, int64_t num_classes, double filter = 1.0) {
    constexpr double kLog2E = 1.44269504088896340736;
    constexpr double kPolynomial[7] = {1.0,
                                       6.931472028550421e-01,
                                       2.402264791363012e-01,
                                       5.550332471162809e-02,
                                       9.618437357674640e-03,
                                       1.339887440266574e-03,
                                       1.535336188319500e-04};
    limit = static_cast<float>(scale * kLog2E);
    filter_limit = filter >= 1.0 ? limit : static_cast<float>(scale * kLog2E * filter);
    const double exp_minus_a = std::exp(-LogitShift(scale, num_classes));
    for (int i = 0; i < 7; ++i) coefficients[i] = static_cast<float>(kPolynomial[i] * exp_minus_a);
  }

  // The factor from the product w_j·ê_i to y: s·log2(e)/|w_j|.
  ARCSHARD_HOST_DEVICE float RowScale(float inverse_norm) const { return inverse_norm * limit; }

  ARCSHARD_HOST_DEVICE NegativeTerm operator()(float dot, float inverse_norm) const {
    float y = dot * RowScale(inverse_norm);
    y = limit < y ? limit : y;  // this order of the operands keeps a NaN
    y = y < -limit ? -limit : y;
    const float power = Power(y);
    const bool filtered = y > filter_limit;
    return {filtered ? coefficients[0] : power, filtered ? 0.0f : power * inverse_norm};
  }

  // 2^y·exp(-a).
  ARCSHARD_HOST_DEVICE float Power(float y) const {
    constexpr float kRounder = 12582912.0f;  // 1.5·2^23: the last bits of y + kRounder are the nearest integer
    const float shifted = y + kRounder;
    const float f = y - (shifted - kRounder);
    float p = coefficients[6];
    p = p * f + coefficients[5];
    p = p * f + coefficients[4];
    p = p * f + coefficients[3];
    p = p * f + coefficients[2];
    p = p * f + coefficients[1];
    p = p * f + coefficients[0];
    return p * std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000u);
  }
};

// 1/|x| from the sum of squares. It is 0 for a norm below 1e-12, so that the unit vector and the gradient through it
// are 0.
ARCSHARD_HOST_DEVICE inline float InverseNorm(float sum_of_squares) {
  return sum_of_squares < 1e-24f ? 0.0f : 1.0f / std::sqrt(sum_of_squares);
}

}  // namespace arcshard::head
