#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/io/file.h"
#include "common/io/file_system.h"
#include "common/io/tensor_dtype.h"

// Safetensors (https://huggingface.co/docs/safetensors): 8 bytes of header length, a JSON header, the tensors' bytes.
namespace arcshard {

using SafetensorsMetadata = std::map<std::string, std::string>;

// A safetensors file for reading. Open checks the whole header, so every entry is known to lie inside the file. Values
// are read on demand, so a file larger than memory can be read by rows. Reading is thread-safe.
//
// Errors name the file. NotFound: no such file, or no tensor of that name. DataLoss: the file breaks the format (header
// longer than the file or 100 MB, not JSON, an unknown dtype, a size that is not shape × dtype, a gap or an overlap
// between tensors, bytes after the last). InvalidArgument: a tensor is not of the type or shape that the caller asks
// for.
class SafetensorsFile {
 public:
  struct Entry {
    TensorDtype dtype = TensorDtype::kF32;
    std::vector<int64_t> shape;  // empty: a scalar
    uint64_t offset = 0;         // position of its first byte in the file
    uint64_t bytes = 0;
  };

  static absl::StatusOr<SafetensorsFile> Open(const std::string& path);
  static absl::StatusOr<SafetensorsFile> Open(std::shared_ptr<const ByteSource> source);

  const std::string& path() const { return source_->path(); }
  const std::map<std::string, Entry>& entries() const { return entries_; }
  const SafetensorsMetadata& metadata() const { return metadata_; }

  // NotFound as above.
  absl::StatusOr<const Entry*> Find(absl::string_view name) const;

  // All values of a tensor, row-major. Nothing is converted: the file's dtype must be kDtypeOf<T>.
  template <typename T>
  absl::StatusOr<std::vector<T>> Read(absl::string_view name) const;

  // Rows [begin, end) of a tensor, by its first dimension; out: (end - begin) × the other dimensions' values.
  template <typename T>
  absl::Status ReadRows(absl::string_view name, int64_t begin, int64_t end, absl::Span<T> out) const;
  // The same for a tensor of any type, as the bytes that the file holds.
  absl::Status ReadRowBytes(absl::string_view name, TensorDtype dtype, int64_t begin, int64_t end,
                            absl::Span<std::byte> out) const;

 private:
  SafetensorsFile(std::shared_ptr<const ByteSource> source, std::map<std::string, Entry> entries,
                  SafetensorsMetadata metadata)
      : source_(std::move(source)), entries_(std::move(entries)), metadata_(std::move(metadata)) {}

  absl::StatusOr<const Entry*> FindTyped(absl::string_view name, TensorDtype dtype) const;

  std::shared_ptr<const ByteSource> source_;
  std::map<std::string, Entry> entries_;
  SafetensorsMetadata metadata_;
};

struct TensorSpec {
  std::string name;
  TensorDtype dtype = TensorDtype::kF32;
  std::vector<int64_t> shape;
};

// Writes a safetensors file without holding a tensor in memory: the tensors are declared first, then their values are
// appended in that order, in pieces of any length. The file appears complete, at Finish, or not at all (AtomicFile).
// Not thread-safe.
//
// InvalidArgument: a name is used twice, is not UTF-8 or is "__metadata__"; a dimension is negative; the order would
// put a tensor at an offset that is not a multiple of its element size (declare wide types first: readers map the
// file); values belong to another tensor or type than the next one, or are too many. FailedPrecondition: Finish was
// called before all values were appended. Other errors are those of AtomicFile.
class SafetensorsWriter {
 public:
  // `files` outlives the writer.
  static absl::StatusOr<SafetensorsWriter> Create(const std::string& path, std::vector<TensorSpec> tensors,
                                                  const SafetensorsMetadata& metadata,
                                                  FileSystem* files = RealFileSystem());

  // The bytes before the first tensor, which are already written.
  absl::string_view header() const { return header_; }

  // The next values of `name`, row-major.
  template <typename T>
  absl::Status Append(absl::string_view name, absl::Span<const T> values) {
    return AppendBytes(
        name, kDtypeOf<T>,
        absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T)));
  }
  absl::Status AppendBytes(absl::string_view name, TensorDtype dtype, absl::Span<const std::byte> data);

  // Call once, last.
  absl::Status Finish();

 private:
  SafetensorsWriter(AtomicFile file, std::string header, std::vector<TensorSpec> tensors, std::vector<uint64_t> bytes);
  void SkipFullTensors();

  AtomicFile file_;
  std::string header_;
  std::vector<TensorSpec> tensors_;
  std::vector<uint64_t> bytes_;  // of each tensor
  size_t current_ = 0;           // the tensor that is appended to
  uint64_t written_ = 0;         // bytes of it
};

// A tensor in memory, for WriteSafetensors; `data` must outlive the call.
struct TensorView {
  TensorSpec spec;
  absl::Span<const std::byte> data;

  template <typename T>
  static TensorView Of(std::string name, std::vector<int64_t> shape, absl::Span<const T> values) {
    return {{std::move(name), kDtypeOf<T>, std::move(shape)},
            absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T))};
  }
};

// Writes `tensors` in any order (wide types come first in the file).
absl::Status WriteSafetensors(const std::string& path, std::vector<TensorView> tensors,
                              const SafetensorsMetadata& metadata = {});

// --- implementation of templates

template <typename T>
absl::StatusOr<std::vector<T>> SafetensorsFile::Read(absl::string_view name) const {
  const absl::StatusOr<const Entry*> entry = FindTyped(name, kDtypeOf<T>);
  if (!entry.ok()) return entry.status();
  std::vector<T> values((*entry)->bytes / sizeof(T));
  const absl::Status status = source_->ReadAt(
      (*entry)->offset, absl::MakeSpan(reinterpret_cast<std::byte*>(values.data()), values.size() * sizeof(T)));
  if (!status.ok()) return status;
  return values;
}

template <typename T>
absl::Status SafetensorsFile::ReadRows(absl::string_view name, int64_t begin, int64_t end, absl::Span<T> out) const {
  return ReadRowBytes(name, kDtypeOf<T>, begin, end,
                      absl::MakeSpan(reinterpret_cast<std::byte*>(out.data()), out.size() * sizeof(T)));
}

}  // namespace arcshard
