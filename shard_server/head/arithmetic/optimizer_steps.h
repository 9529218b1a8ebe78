#pragma once

#include <cmath>
#include <cstdint>

#include "common/base/host_device.h"
#include "shard_server/head/arithmetic/bfloat16.h"
#include "shard_server/head/head_options.h"

// The optimizer's step for one weight, fused with the projection of the gradient (docs/design.md §1). Weights have type
// W and moments type V (float or Bfloat16); the arithmetic is in float32, and the results are rounded when stored.
namespace arcshard::head {

// The gradient of one weight: dL/dw = h - radial·w.
struct ElementGradient {
  float h = 0;       // an element of H = (dL/dŵ)/|w|
  float radial = 0;  // (H·w)/|w|^2
};

// 16 random bits for each value that is rounded; unused for values stored in float32.
struct RandomOfElement {
  uint32_t weight = 0;
  uint32_t moment0 = 0;
  uint32_t moment1 = 0;
};

struct SgdStep {
  static constexpr int kMoments = 1;
  float lr = 0;
  float momentum = 0;
  float weight_decay = 0;

  SgdStep(const SgdOptions& options, float lr_in)
      : lr(lr_in), momentum(options.momentum), weight_decay(options.weight_decay) {}

  // Values that all weights of a class share: none.
  struct OfClass {};
  ARCSHARD_HOST_DEVICE OfClass ForClass(uint32_t) const { return {}; }

  template <typename W, typename V>
  ARCSHARD_HOST_DEVICE void operator()(OfClass, ElementGradient gradient, W& w, V& v, V&,
                                       const RandomOfElement& random) const {
    const float weight = Widen(w);
    const float moment = momentum * Widen(v) + (gradient.h + (weight_decay - gradient.radial) * weight);
    v = Held<V>(moment, random.moment0);
    w = Held<W>(weight - lr * moment, random.weight);
  }
};

// The operations have PyTorch's order (torch/optim/adamw.py, _single_tensor_adamw without amsgrad and maximize).
struct AdamWStep {
  static constexpr int kMoments = 2;
  double lr = 0;
  double beta1 = 0;
  double beta2 = 0;
  float decay = 0;  // 1 - lr·weight_decay
  float one_minus_beta1 = 0;
  float beta2_narrow = 0;
  float one_minus_beta2 = 0;
  float epsilon = 0;

  AdamWStep(const AdamWOptions& options, float lr_in)
      : lr(lr_in),
        beta1(options.beta1),
        beta2(options.beta2),
        decay(static_cast<float>(1.0 - lr * options.weight_decay)),
        one_minus_beta1(static_cast<float>(1.0 - beta1)),
        beta2_narrow(static_cast<float>(beta2)),
        one_minus_beta2(static_cast<float>(1.0 - beta2)),
        epsilon(options.epsilon) {}

  // Values that all weights of a class share.
  struct OfClass {
    float step_size = 0;            // lr/(1 - beta1^n)
    float inverse_sqrt_second = 0;  // 1/sqrt(1 - beta2^n)
  };
  // `count` is n, including this step.
  ARCSHARD_HOST_DEVICE OfClass ForClass(uint32_t count) const {
    const double n = count;
    return {static_cast<float>(lr / (1.0 - std::pow(beta1, n))),
            static_cast<float>(1.0 / std::sqrt(1.0 - std::pow(beta2, n)))};
  }

  template <typename W, typename V>
  ARCSHARD_HOST_DEVICE void operator()(OfClass of_class, ElementGradient element, W& w, V& m, V& v,
                                       const RandomOfElement& random) const {
    const float weight = Widen(w);
    const float gradient = element.h - element.radial * weight;
    float first = Widen(m);
    first = first + one_minus_beta1 * (gradient - first);
    const float second = Widen(v) * beta2_narrow + one_minus_beta2 * gradient * gradient;
    const float denominator = std::sqrt(second) * of_class.inverse_sqrt_second + epsilon;
    m = Held<V>(first, random.moment0);
    v = Held<V>(second, random.moment1);
    w = Held<W>(weight * decay - of_class.step_size * (first / denominator), random.weight);
  }
};

}  // namespace arcshard::head
