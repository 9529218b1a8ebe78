#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace arcshard::head {

// Values of T at a 64-byte boundary, or, where there are many, in huge pages. Not initialised, never copied; a large
// one takes memory only where it is written. Thread-compatible.
template <typename T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Buffer();

  // Room for `size` values at least; what was there is lost when it grows. `what` names the buffer in the message.
  // ResourceExhausted: there is no such memory.
  absl::Status Reserve(int64_t size, absl::string_view what);

  T* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  int64_t size_ = 0;
};

extern template class Buffer<float>;
extern template class Buffer<double>;

}  // namespace arcshard::head
