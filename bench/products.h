#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/bfloat16.h"

// All matrix products that this machine's libraries offer, whichever of them the head uses.
namespace arcshard::bench {

// c (m×n, float32) <- a (m×k) · b (k×n), or c + a·b; row-major. A factor may be stored transposed.
struct Product {
  int64_t m = 0, n = 0, k = 0;
  bool a_transposed = false, b_transposed = false, accumulate = false;
};

// A routine that multiplies in the calling thread alone. `rows_of_call`: it computes this many rows of c at a time; 0:
// all at once.
template <typename T>
struct Routine {
  std::string name;
  void (*multiply)(const Product& product, int64_t rows_of_call, const T* a, const T* b, float* c);
  int64_t rows_of_call = 0;
};

// The routines that this processor and this LibTorch have; T: float or Bfloat16. A routine that needs a special layout
// of a factor assumes it without converting the factor, because the conversion is no part of the product. Requires an
// even k.
template <typename T>
std::vector<Routine<T>> Routines();

// Call in each thread after its last product of a pass: releases the processor's AMX tiles.
void ReleaseProducts();

}  // namespace arcshard::bench
