#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard::head {

// Memory at a 64-byte boundary, or, where it is much, in huge pages. ResourceExhausted, with `what`: there is none.
absl::StatusOr<void*> AllocateAligned(size_t bytes, absl::string_view what);
void FreeAligned(void* memory, size_t bytes);

// Values of T in such memory. Not initialised, never copied; a large one takes memory only where it is written.
// Thread-compatible.
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

  // Room for `size` values at least; what was there is lost when it grows. `what` names the buffer in the message.
  // ResourceExhausted: there is no such memory.
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
