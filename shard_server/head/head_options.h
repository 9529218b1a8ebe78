#pragma once

#include <cstdint>
#include <variant>

#include "common/base/class_range.h"

namespace arcshard::head {

enum class Device { kCpu, kCuda };

enum class DataType { kFloat32, kBfloat16 };

constexpr int64_t BytesOf(DataType type) { return type == DataType::kFloat32 ? 4 : 2; }

// SGD as torch.optim.SGD defines it: v <- momentum·v + (g + weight_decay·w), w <- w - lr·v. One moment, v.
struct SgdOptions {
  float momentum = 0.9f;
  float weight_decay = 5e-4f;
};

// AdamW as torch.optim.AdamW defines it (Loshchilov and Hutter, 2019, algorithm 2). Two moments, m and v, and for each
// class the number n of the steps that it took part in:
//   w <- w - lr·weight_decay·w;  m <- beta1·m + (1 - beta1)·g;  v <- beta2·v + (1 - beta2)·g^2
//   w <- w - lr/(1 - beta1^n) · m/(sqrt(v/(1 - beta2^n)) + epsilon)
struct AdamWOptions {
  double beta1 = 0.9;  // double: 1 - beta2 in float32 would be off by 5e-5
  double beta2 = 0.999;
  float epsilon = 1e-8f;
  float weight_decay = 1e-2f;
};

// How the CPU multiplies factors in bfloat16: by the processor's instructions for them, or, where there are none, as
// kWidened does; or as products of float32, to which the factors are converted. Both are exact products summed in
// float32, in different orders.
enum class Bfloat16Products { kNative, kWidened };

struct HeadOptions {
  int64_t num_classes = 0;   // N of the whole run, which the shift a = s + ln N - 69 contains
  ClassRange range;          // the C classes of this shard
  int64_t dim = 0;           // D
  float scale = 64.0f;       // s, in (0, 80]
  float filter = 1.0f;       // a negative with a larger cosine has logit 0 and no gradient; 1: no filter
  double sample_rate = 1.0;  // r in (0, 1]: the share of the negative classes that take part in a step (Partial FC)
  // false: Create leaves zeros, for the caller to write over.
  bool first_weights = true;
  uint64_t seed = 1;  // for the first weights, the sampling of classes and stochastic rounding
  std::variant<SgdOptions, AdamWOptions> optimizer;
  DataType compute = DataType::kFloat32;  // type of the factors of matrix products; every sum is float32 or wider
  Bfloat16Products bfloat16_products = Bfloat16Products::kNative;
  DataType weights = DataType::kFloat32;  // stored type; updates in bfloat16 are rounded stochastically
  DataType moments = DataType::kFloat32;  // stored type; updates in bfloat16 are rounded stochastically
  Device device = Device::kCpu;
  int device_index = 0;          // which GPU
  int threads = 1;               // for the passes on the CPU, including the caller's thread
  int64_t exp_budget_bytes = 0;  // for exponentials kept from pass 1 for pass 2; affects speed, never the results

  // Moments of the optimizer: 1 (SGD) or 2 (AdamW).
  int num_moments() const { return std::holds_alternative<AdamWOptions>(optimizer) ? 2 : 1; }
};

// The stored parts of a class: D values of the center and of each moment, in the types of HeadOptions, and AdamW's
// count (uint32_t).
enum class RowPart { kWeights, kMoment0, kMoment1, kCounts };

// The bytes of `part` for one class; 0: the optimizer has no such part.
int64_t HeldBytes(const HeadOptions& options, RowPart part);

}  // namespace arcshard::head
