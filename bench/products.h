#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "shard_server/head/bfloat16.h"

// Matrix products as this machine's libraries have them, whatever the head uses: what its step is held against.
namespace arcshard::bench {

using head::Bfloat16;

// c (m×n, float32) <- a (m×k) · b (k×n), or c + that; row-major. A factor may lie transposed.
struct Product {
  int64_t m = 0, n = 0, k = 0;
  bool a_transposed = false, b_transposed = false, accumulate = false;
};

// One way to multiply, by the calling thread alone. `rows_of_call`: c is made in pieces of so many rows; 0: at once.
template <typename T>
struct Routine {
  std::string name;
  void (*multiply)(const Product& product, int64_t rows_of_call, const T* a, const T* b, float* c);
  int64_t rows_of_call = 0;
};

// Those that this processor and this LibTorch have; T: float or Bfloat16. A routine that needs a factor in an order of
// its own takes it as if it were in it already: putting it there is no part of a bare product. k must be even.
template <typename T>
std::vector<Routine<T>> Routines();

// Call in each thread after its last product of a pass: gives back what the processor lends (AMX's tiles).
void ReleaseProducts();

}  // namespace arcshard::bench
