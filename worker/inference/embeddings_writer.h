#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/io/file.h"
#include "common/io/safetensors.h"

namespace arcshard::worker {

// Writes embeddings, row by row, to a safetensors file with
//   embeddings  n×D float32
//   labels      n   int64
//   names       uint8: a JSON list of n strings in UTF-8
// n need not be known in advance, and the memory does not grow with it: until Finish the rows are kept in unnamed files
// in the folder of the result, which take as much disk space again. The result appears whole or not at all. Not
// thread-safe.
class EmbeddingsWriter {
 public:
  // dim: D. Errors of common/io.
  static absl::StatusOr<std::unique_ptr<EmbeddingsWriter>> Create(const std::string& path, int64_t dim);

  // embedding: D.
  absl::Status Append(absl::Span<const float> embedding, int64_t label, absl::string_view name);
  int64_t rows() const { return rows_; }

  // Writes the result. The last call.
  absl::Status Finish(const SafetensorsMetadata& metadata);

 private:
  // Keeps the bytes of a tensor whose size is not known yet in an unnamed file.
  class Spool {
   public:
    static absl::StatusOr<Spool> Create(const std::string& beside);
    absl::Status Append(absl::string_view bytes);
    // Copies all bytes into `tensor`, the next one of the file.
    absl::Status CopyTo(const TensorSpec& tensor, SafetensorsWriter* file);
    int64_t bytes() const { return bytes_; }

   private:
    absl::Status Flush();
    FileDescriptor fd_;
    std::string name_;  // for messages
    std::string pending_;
    int64_t bytes_ = 0;
  };

  EmbeddingsWriter(std::string path, int64_t dim, Spool embeddings, Spool labels, Spool names);

  const std::string path_;
  const int64_t dim_;
  int64_t rows_ = 0;
  Spool embeddings_, labels_, names_;
};

}  // namespace arcshard::worker
