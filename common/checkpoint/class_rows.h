#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/io/safetensors.h"

// The rows of the class matrix and of what belongs to it, in however many files they lie. A tensor of the rows [begin,
// end) is `class_centers.<begin>-<end>` (rows×D, F32 or BF16), `class_moment_0.…`, `class_moment_1.…` (likewise) or
// `class_counts.…` (rows, U32); without a range it holds all rows.
namespace arcshard {

enum class RowKind { kCenters, kMoment0, kMoment1, kCounts };

std::string RowTensorName(RowKind kind, ClassRange range);

// Thread-safe.
class ClassRows {
 public:
  // InvalidArgument: rows of a kind are there twice, or are of another width. Else as OpenCheckpoint::File.
  static absl::StatusOr<ClassRows> Of(const OpenCheckpoint& checkpoint);
  // A safetensors file that somebody else made, such as model/class_centers-0-482.safetensors.
  static absl::StatusOr<ClassRows> OfFile(const std::string& path);

  int64_t num_classes() const { return num_classes_; }  // one more than the last row of kCenters
  int64_t dim() const { return dim_; }
  bool Has(RowKind kind) const;  // any row

  // Rows [range.begin, range.end) widened to float32; out: rows×D. InvalidArgument: a row is in no file; says which.
  absl::Status Read(RowKind kind, ClassRange range, absl::Span<float> out) const;
  absl::Status ReadCounts(ClassRange range, absl::Span<uint32_t> out) const;

 private:
  struct Piece {
    RowKind kind;
    ClassRange rows;
    std::string tensor;
    std::shared_ptr<const SafetensorsFile> file;
  };

  absl::Status Add(std::shared_ptr<const SafetensorsFile> file);
  absl::Status Sort();
  // Calls read(piece, the rows of `range` in it) for what makes up `range`, in order.
  template <typename Reader>
  absl::Status ForEachPiece(RowKind kind, ClassRange range, const Reader& read) const;
  absl::Status ReadPiece(const Piece& piece, ClassRange range, absl::Span<float> out) const;

  std::string source_;         // for messages
  std::vector<Piece> pieces_;  // by kind and row
  int64_t num_classes_ = 0;
  int64_t dim_ = 0;
};

}  // namespace arcshard
