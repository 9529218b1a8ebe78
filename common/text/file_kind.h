#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

// Files that are not what their place or name says, because something else was downloaded, packed or saved there.
namespace arcshard {

// Bytes at a place by which files of a kind are known.
struct FileSignature {
  template <size_t n>
  constexpr FileSignature(size_t at, const char (&text)[n], absl::string_view kind)
      : offset(at), bytes(text, n - 1), name(kind) {}
  size_t offset;
  absl::string_view bytes;
  absl::string_view name;
};

// The name of the first signature that `bytes`, the beginning of a file, have; empty: they have none.
absl::string_view NameBySignature(absl::Span<const FileSignature> signatures, absl::string_view bytes);

// What a file is, told by its first bytes (kFileKindBytes are enough): "an HTML page", "a zip archive", "a pointer of
// Git LFS, whose file was not fetched". Empty: it is none of the kinds that are known.
absl::string_view FileKind(absl::string_view bytes);
inline constexpr size_t kFileKindBytes = 1024;

// "; it is an HTML page" as the end of a message on such a file; empty for one of no kind that is known.
std::string FileKindHint(absl::string_view bytes);

// The text of a file: its bytes without the byte order mark of UTF-8, which editors of Windows write. InvalidArgument:
// it is UTF-16, or a file of some other kind; the message names `path`.
absl::StatusOr<absl::string_view> TextOfFile(absl::string_view path, absl::string_view bytes);

}  // namespace arcshard
