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

// Reads rows of the class matrix, of its moments and of its counts, from any number of files. The tensors with rows
// [begin, end) are named `class_centers.<begin>-<end>` (rows×D, F32 or BF16), `class_moment_0.…` and `class_moment_1.…`
// (the same), and `class_counts.…` (rows, U32). A name without a range stands for all rows.
namespace arcshard {

enum class RowKind { kCenters, kMoment0, kMoment1, kCounts };

std::string RowTensorName(RowKind kind, ClassRange range);

// Thread-safe.
class ClassRows {
 public:
  // InvalidArgument: two tensors contain the same row, or have different widths. Other errors are those of
  // OpenCheckpoint::File.
  static absl::StatusOr<ClassRows> Of(const OpenCheckpoint& checkpoint);
  // Reads a safetensors file that is not part of a checkpoint, such as model/class_centers-0-482.safetensors.
  static absl::StatusOr<ClassRows> OfFile(const std::string& path);

  int64_t num_classes() const { return num_classes_; }  // the last row of kCenters, plus one
  int64_t dim() const { return dim_; }
  bool Has(RowKind kind) const;  // whether there is any row of this kind

  // Reads the rows of `range`, widened to float32; out: rows×D. InvalidArgument: a row is in no file, which the message
  // names; or `out` has another size.
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
  // Calls read(piece, its rows that are in `range`) for all pieces of `range`, in order.
  template <typename Reader>
  absl::Status ForEachPiece(RowKind kind, ClassRange range, const Reader& read) const;
  absl::Status ReadPiece(const Piece& piece, ClassRange range, absl::Span<float> out) const;

  std::string source_;         // for messages
  std::vector<Piece> pieces_;  // by kind and row
  int64_t num_classes_ = 0;
  int64_t dim_ = 0;
};

}  // namespace arcshard
