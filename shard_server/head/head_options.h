#pragma once

#include <cstdint>
#include <variant>

#include "common/base/class_range.h"

namespace arcshard::head {

enum class Device { kCpu, kCuda };

enum class DataType { kFloat32, kBfloat16 };

// SGD as PyTorch defines it: v <- momentum·v + (gradient + weight_decay·w), w <- w - lr·v. One moment, v.
struct SgdOptions {
  float momentum = 0.9f;
  float weight_decay = 5e-4f;
};

// AdamW as PyTorch defines it (Loshchilov and Hutter, 2019, algorithm 2). Two moments, m and v, and of each class the
// number n of the steps it took part in:
//   w <- w - lr·weight_decay·w;  m <- beta1·m + (1 - beta1)·g;  v <- beta2·v + (1 - beta2)·g^2
//   w <- w - lr/(1 - beta1^n) · m/(sqrt(v/(1 - beta2^n)) + epsilon)
struct AdamWOptions {
  double beta1 = 0.9;  // double: 1 - beta2 in float32 would be off by 5e-5
  double beta2 = 0.999;
  float epsilon = 1e-8f;
  float weight_decay = 1e-2f;
};

struct HeadOptions {
  int64_t num_classes = 0;   // N, of the whole run: it is in the shift a = scale + ln N - 69
  ClassRange range;          // the C classes held here
  int64_t dim = 0;           // D
  float scale = 64.0f;       // s, in (0, 80]
  float filter = 1.0f;       // a negative with a cosine above it counts as logit 0 and moves nothing; 1: no filter
  double sample_rate = 1.0;  // r in (0, 1]: the share of the negative classes that take part in a step (DESIGN §1)
  uint64_t seed = 1;         // of the first weights, of the classes drawn and of stochastic rounding
  std::variant<SgdOptions, AdamWOptions> optimizer;
  DataType compute = DataType::kFloat32;  // of the factors of the matrix products; every sum is float32 or wider
  DataType weights = DataType::kFloat32;  // as held; bfloat16 is rounded stochastically by the counter hash
  DataType moments = DataType::kFloat32;  // likewise
  Device device = Device::kCpu;
  int device_index = 0;          // of several GPUs
  int threads = 1;               // of the passes on the CPU; the caller's thread is one of them
  int64_t exp_budget_bytes = 0;  // exponentials kept from pass 1 for pass 2; changes speed, never a bit of the result

  // Of the optimizer: 1 (SGD) or 2 (AdamW).
  int num_moments() const { return std::holds_alternative<AdamWOptions>(optimizer) ? 2 : 1; }
};

// What is held of each class: D values of the center and of each moment, in the types of HeadOptions, and AdamW's count
// (uint32_t).
enum class RowPart { kWeights, kMoment0, kMoment1, kCounts };

// Of `part` of one class; 0: the optimizer has no such part.
int64_t HeldBytes(const HeadOptions& options, RowPart part);

}  // namespace arcshard::head
