#pragma once

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Files that are not what their place or name says, because something else was downloaded, packed or saved there.
namespace arcshard {

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
