#include "shard_server/head/cpu/buffer.h"

#include <sys/mman.h>

#include <new>

#include "absl/strings/str_cat.h"

namespace arcshard::head {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

size_t AlignmentOf(size_t bytes) { return bytes >= 2 * kHugePage ? kHugePage : kCacheLine; }

}  // namespace

absl::StatusOr<void*> AllocateAligned(size_t bytes, absl::string_view what) {
  const size_t alignment = AlignmentOf(bytes);
  void* memory = ::operator new (bytes, std::align_val_t{alignment}, std::nothrow);
  if (memory == nullptr) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", what, ": ", bytes, " bytes were refused"));
  }
#ifdef MADV_HUGEPAGE
  // Advice only: a failure does no harm where the system has no huge pages.
  if (alignment == kHugePage) madvise(memory, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  return memory;
}

void FreeAligned(void* memory, size_t bytes) { ::operator delete (memory, std::align_val_t{AlignmentOf(bytes)}); }

}  // namespace arcshard::head
