#include "common/text/file_kind.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace arcshard {
namespace {

constexpr absl::string_view kUtf8Mark = "\xef\xbb\xbf";
constexpr absl::string_view kUtf16 = "a text in UTF-16";

constexpr FileSignature kSignatures[] = {
    {0, "version https://git-lfs", "a pointer of Git LFS, whose file was not fetched (git lfs pull)"},
    {0, "\xff\xfe", kUtf16},
    {0, "\xfe\xff", kUtf16},
    {0, "\x1f\x8b\x08", "a gzip archive"},
    {0, "PK\3\4", "a zip archive"},
    {0, "PK\5\6", "an empty zip archive"},
    {4, "1AY&SY", "a bzip2 archive"},
    {0, "\xfd\x37zXZ\0", "an xz archive"},
    {0, "\x28\xb5\x2f\xfd", "a zstd archive"},
    {0, "7z\xbc\xaf\x27\x1c", "a 7z archive"},
    {257, "ustar\0", "a tar archive"},
    {257, "ustar  \0", "a tar archive"},
    {0, "\x93NUMPY", "an array of NumPy (.npy)"},
    {0, "\x89HDF\r\n\x1a\n", "an HDF5 file"},
    {0, "%PDF-", "a PDF"},
    {0, "\xff\xd8\xff", "a JPEG image"},
    {0, "\x89PNG\r\n\x1a\n", "a PNG image"},
};

// Pages and XML may begin with blanks, and in any case.
absl::string_view MarkupKind(absl::string_view bytes) {
  bytes = absl::StripLeadingAsciiWhitespace(bytes);
  if (!absl::StartsWith(bytes, "<")) return "";
  const std::string markup = absl::AsciiStrToLower(bytes);
  for (const absl::string_view begin : {"<!doctype html", "<html"}) {
    if (absl::StartsWith(markup, begin)) return "an HTML page";
  }
  if (!absl::StartsWith(markup, "<?xml")) return "";
  if (absl::StrContains(markup, "<html")) return "an HTML page";
  return absl::StrContains(markup, "<svg") ? "SVG" : "an XML file";
}

}  // namespace

absl::string_view NameBySignature(absl::Span<const FileSignature> signatures, absl::string_view bytes) {
  for (const FileSignature& known : signatures) {
    if (bytes.size() > known.offset && absl::StartsWith(bytes.substr(known.offset), known.bytes)) return known.name;
  }
  return "";
}

absl::string_view FileKind(absl::string_view bytes) {
  bytes = bytes.substr(0, kFileKindBytes);
  const absl::string_view known = NameBySignature(kSignatures, bytes);
  return known.empty() ? MarkupKind(absl::StripPrefix(bytes, kUtf8Mark)) : known;
}

std::string FileKindHint(absl::string_view bytes) {
  const absl::string_view kind = FileKind(bytes);
  return kind.empty() ? "" : absl::StrCat("; it is ", kind);
}

absl::StatusOr<absl::string_view> TextOfFile(absl::string_view path, absl::string_view bytes) {
  if (const absl::string_view kind = FileKind(bytes); !kind.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is ", kind, kind == kUtf16 ? "; save it as UTF-8 or ASCII" : ""));
  }
  return absl::StripPrefix(bytes, kUtf8Mark);
}

}  // namespace arcshard
