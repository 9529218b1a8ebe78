#pragma once

#include <cstdint>
#include <type_traits>

namespace arcshard::head {

// The smallest multiple of `unit` that is not below `n`.
constexpr int64_t RoundedUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

// A row-major matrix in memory that the view does not own; rows follow one another without gaps.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;

  T* row(int64_t i) const { return data + i * cols; }
  int64_t size() const { return rows * cols; }

  // A view that may write converts to a view that only reads.
  operator MatrixView<const T>() const  // NOLINT(google-explicit-constructor)
      requires(!std::is_const_v<T>) {
    return {data, rows, cols};
  }
};

}  // namespace arcshard::head
