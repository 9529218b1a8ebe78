#include "common/checkpoint/class_rows.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/bfloat16_arrays.h"
#include "common/base/status_macros.h"

namespace arcshard {
namespace {

constexpr std::array<RowKind, 4> kKinds = {RowKind::kCenters, RowKind::kMoment0, RowKind::kMoment1, RowKind::kCounts};
constexpr int64_t kBytesAtOnce = int64_t{4} << 20;  // bytes of rows that are widened at a time

absl::string_view NameOf(RowKind kind) {
  constexpr std::array<absl::string_view, 4> kNames = {"class_centers", "class_moment_0", "class_moment_1",
                                                       "class_counts"};
  return kNames[static_cast<size_t>(kind)];
}

// Parses "<begin>-<end>" as RowTensorName writes it; nullopt for any other text.
std::optional<ClassRange> ParseRange(absl::string_view text) {
  const size_t dash = text.find('-');
  ClassRange range;
  if (dash == absl::string_view::npos || !absl::SimpleAtoi(text.substr(0, dash), &range.begin) ||
      !absl::SimpleAtoi(text.substr(dash + 1), &range.end) || range.begin < 0 || range.end < range.begin ||
      absl::StrCat(range.begin, "-", range.end) != text) {
    return std::nullopt;
  }
  return range;
}

}  // namespace

std::string RowTensorName(RowKind kind, ClassRange range) {
  return absl::StrCat(NameOf(kind), ".", range.begin, "-", range.end);
}

absl::StatusOr<ClassRows> ClassRows::Of(const OpenCheckpoint& checkpoint) {
  ClassRows rows;
  rows.source_ = checkpoint.folder();
  for (const FileRecord& record : checkpoint.manifest().files) {
    if (!absl::EndsWith(record.name, ".safetensors")) continue;
    ASSIGN_OR_RETURN(SafetensorsFile file, checkpoint.File(record.name));
    RETURN_IF_ERROR(rows.Add(std::make_shared<const SafetensorsFile>(std::move(file))));
  }
  RETURN_IF_ERROR(rows.Sort());
  return rows;
}

absl::StatusOr<ClassRows> ClassRows::OfFile(const std::string& path) {
  ClassRows rows;
  rows.source_ = path;
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(path));
  RETURN_IF_ERROR(rows.Add(std::make_shared<const SafetensorsFile>(std::move(file))));
  RETURN_IF_ERROR(rows.Sort());
  return rows;
}

absl::Status ClassRows::Add(std::shared_ptr<const SafetensorsFile> file) {
  for (const auto& [name, entry] : file->entries()) {
    const auto refused = [&, &tensor = name](auto... why) {
      return absl::InvalidArgumentError(absl::StrCat(file->path(), ": tensor '", tensor, "' ", why...));
    };
    for (const RowKind kind : kKinds) {
      absl::string_view rest = name;
      if (!absl::ConsumePrefix(&rest, NameOf(kind)) || (!rest.empty() && rest.front() != '.')) continue;
      const size_t rank = kind == RowKind::kCounts ? 1 : 2;
      if (entry.shape.size() != rank) return refused("has ", entry.shape.size(), " dimensions, not ", rank);
      std::optional<ClassRange> range = ClassRange{0, entry.shape[0]};
      if (absl::ConsumePrefix(&rest, ".")) range = ParseRange(rest);
      if (!range.has_value()) return refused("does not say which rows it holds");
      if (range->size() != entry.shape[0]) return refused("holds ", entry.shape[0], " rows");
      const bool known = kind == RowKind::kCounts
                             ? entry.dtype == TensorDtype::kU32
                             : entry.dtype == TensorDtype::kF32 || entry.dtype == TensorDtype::kBF16;
      if (!known)
        return refused("is ", DtypeName(entry.dtype), kind == RowKind::kCounts ? ", not U32" : ", not F32 or BF16");
      if (range->size() == 0) continue;
      if (rank == 2) {
        if (dim_ != 0 && dim_ != entry.shape[1]) {
          return refused("has rows of ", entry.shape[1], " values, others of ", dim_);
        }
        if (entry.shape[1] == 0) return refused("has rows of no values");
        dim_ = entry.shape[1];
      }
      if (kind == RowKind::kCenters) num_classes_ = std::max(num_classes_, range->end);
      pieces_.push_back({kind, *range, name, file});
    }
  }
  return absl::OkStatus();
}

absl::Status ClassRows::Sort() {
  std::sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) {
    return std::tuple(a.kind, a.rows.begin) < std::tuple(b.kind, b.rows.begin);
  });
  for (size_t i = 1; i < pieces_.size(); ++i) {
    if (pieces_[i - 1].kind == pieces_[i].kind && pieces_[i - 1].rows.end > pieces_[i].rows.begin) {
      return absl::InvalidArgumentError(absl::StrCat(source_, ": row ", pieces_[i].rows.begin, " of ",
                                                     NameOf(pieces_[i].kind), " is stored twice, in '",
                                                     pieces_[i - 1].tensor, "' and '", pieces_[i].tensor, "'"));
    }
  }
  return absl::OkStatus();
}

bool ClassRows::Has(RowKind kind) const {
  return std::any_of(pieces_.begin(), pieces_.end(), [&](const Piece& piece) { return piece.kind == kind; });
}

template <typename Reader>
absl::Status ClassRows::ForEachPiece(RowKind kind, ClassRange range, const Reader& read) const {
  if (range.begin < 0 || range.end < range.begin) {
    return absl::InvalidArgumentError(absl::StrCat("there are no rows [", range.begin, ", ", range.end, ")"));
  }
  int64_t next = range.begin;
  for (const Piece& piece : pieces_) {
    if (piece.kind != kind || piece.rows.end <= next || next == range.end) continue;
    if (piece.rows.begin > next) break;
    const ClassRange part{next, std::min(range.end, piece.rows.end)};
    RETURN_IF_ERROR(read(piece, part));
    next = part.end;
  }
  if (next == range.end) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(source_, ": holds no row ", next, " of ", NameOf(kind)));
}

absl::Status ClassRows::ReadPiece(const Piece& piece, ClassRange range, absl::Span<float> out) const {
  const int64_t begin = range.begin - piece.rows.begin;
  ASSIGN_OR_RETURN(const SafetensorsFile::Entry* entry, piece.file->Find(piece.tensor));
  if (entry->dtype == TensorDtype::kF32)
    return piece.file->ReadRows<float>(piece.tensor, begin, begin + range.size(), out);
  const int64_t row_bytes = dim_ * static_cast<int64_t>(DtypeSize(entry->dtype));
  const int64_t rows_at_once = std::max<int64_t>(1, kBytesAtOnce / row_bytes);
  std::vector<char> narrow(static_cast<size_t>(std::min(rows_at_once, range.size()) * row_bytes));
  for (int64_t done = 0; done < range.size(); done += rows_at_once) {
    const int64_t rows = std::min(rows_at_once, range.size() - done);
    const auto bytes = absl::MakeSpan(narrow).first(static_cast<size_t>(rows * row_bytes));
    RETURN_IF_ERROR(piece.file->ReadRowBytes(piece.tensor, TensorDtype::kBF16, begin + done, begin + done + rows,
                                             absl::MakeSpan(reinterpret_cast<std::byte*>(bytes.data()), bytes.size())));
    WidenFromBytes(bytes.data(), out.subspan(static_cast<size_t>(done * dim_), static_cast<size_t>(rows * dim_)));
  }
  return absl::OkStatus();
}

absl::Status ClassRows::Read(RowKind kind, ClassRange range, absl::Span<float> out) const {
  if (kind == RowKind::kCounts) return absl::InvalidArgumentError("counts are not floats: use ReadCounts");
  if (range.size() >= 0 && out.size() != static_cast<size_t>(range.size()) * static_cast<size_t>(dim_)) {
    return absl::InvalidArgumentError(
        absl::StrCat(source_, ": ", range.size(), " rows of ", dim_, " values are not ", out.size(), " values"));
  }
  return ForEachPiece(kind, range, [&](const Piece& piece, ClassRange part) {
    return ReadPiece(piece, part, out.subspan((part.begin - range.begin) * dim_, part.size() * dim_));
  });
}

absl::Status ClassRows::ReadCounts(ClassRange range, absl::Span<uint32_t> out) const {
  if (range.size() >= 0 && out.size() != static_cast<size_t>(range.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat(source_, ": the counts of ", range.size(), " rows are not ", out.size(), " numbers"));
  }
  return ForEachPiece(RowKind::kCounts, range, [&](const Piece& piece, ClassRange part) {
    return piece.file->ReadRows<uint32_t>(piece.tensor, part.begin - piece.rows.begin, part.end - piece.rows.begin,
                                          out.subspan(part.begin - range.begin, part.size()));
  });
}

}  // namespace arcshard
