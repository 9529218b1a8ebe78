#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard::head {

// Memory at a 64-byte boundary; large memory is in huge pages where the system has them. ResourceExhausted: no memory;
// the message names `what`.
absl::StatusOr<void*> AllocateAligned(size_t bytes, absl::string_view what);
void FreeAligned(void* memory, size_t bytes);

// An array of T in such memory. It is not initialised and can't be copied. The system provides the pages of a large
// buffer when they are first written. Thread-compatible.
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
  ~Buffer() {
    if (data_ != nullptr) FreeAligned(data_, static_cast<size_t>(size_) * sizeof(T));
  }

  // Makes room for at least `size` values. The contents are lost when the buffer grows. ResourceExhausted: no memory;
  // the message names `what`.
  absl::Status Reserve(int64_t size, absl::string_view what) {
    if (size <= size_) return absl::OkStatus();
    *this = Buffer();
    const absl::StatusOr<void*> memory = AllocateAligned(static_cast<size_t>(size) * sizeof(T), what);
    if (!memory.ok()) return memory.status();
    data_ = static_cast<T*>(*memory);
    size_ = size;
    return absl::OkStatus();
  }

  T* data() const { return data_; }
  int64_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace arcshard::head
