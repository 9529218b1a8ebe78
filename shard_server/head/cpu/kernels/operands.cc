#include "shard_server/head/cpu/kernels/operands.h"

#include <algorithm>
#include <cassert>

#include "shard_server/head/cpu/kernels/block_ops.h"
#include "shard_server/head/cpu/kernels/products.h"
#include "shard_server/head/cpu/kernels/vectorised.h"

namespace arcshard::head {
namespace {

// The panels of a packed float factor of `columns` columns: calls panel(first column, width) for each.
template <typename Panel>
ARCSHARD_INLINED void ForEachPanel(int64_t columns, Panel panel) {
  for (int64_t column = 0; column < columns; column += kPanel) panel(column, std::min(kPanel, columns - column));
}

uint32_t Pair(Bfloat16 low, Bfloat16 high) { return low.bits | static_cast<uint32_t>(high.bits) << 16; }

}  // namespace

void Convert(int64_t n, const float* x, float* y) { std::copy_n(x, n, y); }

void Convert(int64_t n, const Bfloat16* x, Bfloat16* y) { std::copy_n(x, n, y); }

ARCSHARD_VECTORISED
void Convert(int64_t n, const float* __restrict x, Bfloat16* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = RoundToNearest(x[i]);
}

ARCSHARD_VECTORISED
void Convert(int64_t n, const Bfloat16* __restrict x, float* __restrict y) {
  for (int64_t i = 0; i < n; ++i) y[i] = Widen(x[i]);
}

void PackRows(int64_t rows, int64_t dim, const float* x, int64_t stride, float* packed) {
  for (int64_t row = 0; row < rows; ++row, x += stride) {
    ForEachPanel(dim, [&](int64_t column, int64_t width) {
      std::copy_n(x + column, width, packed + column * rows + row * width);
    });
  }
}

ARCSHARD_VECTORISED
void PackRows(int64_t rows, int64_t dim, const Bfloat16* x, int64_t stride, Bfloat16* packed) {
  assert(rows % 2 == 0);
  for (int64_t row = 0; row + 1 < rows; row += 2) {
    const Bfloat16* const __restrict even = x + row * stride;
    const Bfloat16* const __restrict odd = even + stride;
    Bfloat16* const __restrict out = packed + row * dim;
    for (int64_t d = 0; d < dim; ++d) {
      out[2 * d] = even[d];
      out[2 * d + 1] = odd[d];
    }
  }
}

ARCSHARD_VECTORISED
void WidenPackedRows(int64_t rows, int64_t dim, const Bfloat16* packed, float* wide) {
  assert(rows % 2 == 0);
  for (int64_t row = 0; row + 1 < rows; row += 2) {
    ForEachPanel(dim, [&](int64_t column, int64_t width) {
      const Bfloat16* const __restrict in = packed + row * dim + 2 * column;
      float* const __restrict even = wide + column * rows + row * width;
      float* const __restrict odd = even + width;
      for (int64_t d = 0; d < width; ++d) {
        even[d] = Widen(in[2 * d]);
        odd[d] = Widen(in[2 * d + 1]);
      }
    });
  }
}

void PackScaledRows(int64_t rows, int64_t dim, const float* x, const float* factors, int64_t padded_rows,
                    float* packed) {
  ForEachPanel(dim, [&](int64_t column, int64_t width) {
    float* const panel = packed + column * padded_rows;
    for (int64_t row = 0; row < rows; ++row) Scale(width, factors[row], x + row * dim + column, panel + row * width);
    std::fill(panel + rows * width, panel + padded_rows * width, 0.0f);
  });
}

void PackScaledRows(int64_t rows, int64_t dim, const float* x, const float* factors, int64_t padded_rows,
                    Bfloat16* packed) {
  for (int64_t row = 0; row < padded_rows; ++row) {
    Bfloat16* const out = packed + row / 2 * 2 * dim + row % 2;
    for (int64_t d = 0; d < dim; ++d) {
      out[2 * d] = row < rows ? RoundToNearest(factors[row] * x[row * dim + d]) : Bfloat16();
    }
  }
}

void PackTransposed(int64_t rows, int64_t dim, const float* x, int64_t columns, float* packed) {
  ForEachPanel(columns, [&](int64_t column, int64_t width) {
    const int64_t filled = std::clamp<int64_t>(rows - column, 0, width);
    for (int64_t d = 0; d < dim; ++d, packed += width) {
      for (int64_t i = 0; i < filled; ++i) packed[i] = x[(column + i) * dim + d];
      std::fill(packed + filled, packed + width, 0.0f);
    }
  });
}

void PackTransposed(int64_t rows, int64_t dim, const float* x, int64_t columns, Bfloat16* packed) {
  for (int64_t d = 0; d < dim; d += 2, packed += 2 * columns) {
    std::fill(packed, packed + 2 * columns, Bfloat16());
    for (int64_t row = 0; row < rows; ++row) {
      packed[2 * row] = RoundToNearest(x[row * dim + d]);
      if (d + 1 < dim) packed[2 * row + 1] = RoundToNearest(x[row * dim + d + 1]);
    }
  }
}

ARCSHARD_VECTORISED
void Transpose(int64_t rows, int64_t columns, const float* __restrict x, float* __restrict y) {
  assert(rows % kLanes == 0 && columns % kLanes == 0);
  for (int64_t row = 0; row < rows; row += kLanes) {
    for (int64_t column = 0; column < columns; column += kLanes) {
      for (int64_t j = 0; j < kLanes; ++j) {
        for (int64_t i = 0; i < kLanes; ++i) y[(column + j) * rows + row + i] = x[(row + i) * columns + column + j];
      }
    }
  }
}

// Processes two rows at a time, as pairs of 32 bits.
ARCSHARD_VECTORISED
void Transpose(int64_t rows, int64_t columns, const Bfloat16* __restrict x, Bfloat16* __restrict y) {
  assert(rows % kLanes == 0 && columns % kLanes == 0);
  for (int64_t row = 0; row < rows; row += kLanes) {
    for (int64_t column = 0; column < columns; column += kLanes) {
      uint32_t pairs[kLanes / 2][kLanes];
      for (int64_t i = 0; i < kLanes / 2; ++i) {
        const Bfloat16* const even = x + (row + 2 * i) * columns + column;
        for (int64_t j = 0; j < kLanes; ++j) pairs[i][j] = Pair(even[j], even[columns + j]);
      }
      for (int64_t j = 0; j < kLanes; ++j) {
        Bfloat16* const out = y + (column + j) * rows + row;
        for (int64_t i = 0; i < kLanes / 2; ++i) {
          out[2 * i].bits = static_cast<uint16_t>(pairs[i][j]);
          out[2 * i + 1].bits = static_cast<uint16_t>(pairs[i][j] >> 16);
        }
      }
    }
  }
}

}  // namespace arcshard::head
