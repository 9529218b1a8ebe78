#pragma once

#include <cstdint>
#include <type_traits>

namespace arcshard::head {

// A row-major matrix that somebody else owns. Rows lie one after the other.
template <typename T>
struct MatrixView {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t cols = 0;

  T* row(int64_t i) const { return data + i * cols; }
  int64_t size() const { return rows * cols; }

  // A view that writes is a view that reads.
  operator MatrixView<const T>() const  // NOLINT(google-explicit-constructor)
      requires(!std::is_const_v<T>) {
    return {data, rows, cols};
  }
};

}  // namespace arcshard::head
