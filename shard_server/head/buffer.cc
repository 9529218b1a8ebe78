#include "shard_server/head/buffer.h"

#include <sys/mman.h>

#include "absl/strings/str_cat.h"

namespace arcshard::head {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

size_t AlignmentOf(size_t bytes) { return bytes >= 2 * kHugePage ? kHugePage : kCacheLine; }

}  // namespace

template <typename T>
Buffer<T>::~Buffer() {
  if (data_ != nullptr)
    ::operator delete (data_, std::align_val_t{AlignmentOf(static_cast<size_t>(size_) * sizeof(T))});
}

template <typename T>
absl::Status Buffer<T>::Reserve(int64_t size, absl::string_view what) {
  if (size <= size_) return absl::OkStatus();
  *this = Buffer();
  const size_t bytes = static_cast<size_t>(size) * sizeof(T);
  const size_t alignment = AlignmentOf(bytes);
  void* memory = ::operator new (bytes, std::align_val_t{alignment}, std::nothrow);
  if (memory == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", what, ": ", bytes, " bytes were refused"));
  }
#ifdef MADV_HUGEPAGE
  // A wish: where the system has no huge pages, nothing is lost.
  if (alignment == kHugePage) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  data_ = static_cast<T*>(memory);
  size_ = size;
  return absl::OkStatus();
}

template class Buffer<float>;
template class Buffer<double>;

}  // namespace arcshard::head
