#include "worker/inference/embeddings_writer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace arcshard::worker {
namespace {

constexpr size_t kPiece = size_t{1} << 20;  // bytes of a read or write

template <typename T>
absl::string_view BytesOf(const T* values, size_t count) {
  return absl::string_view(reinterpret_cast<const char*>(values), count * sizeof(T));
}

}  // namespace

absl::StatusOr<EmbeddingsWriter::Spool> EmbeddingsWriter::Spool::Create(const std::string& beside) {
  Spool spool;
  spool.name_ = absl::StrCat(beside, ".XXXXXX");
  spool.fd_ = FileDescriptor(mkostemp(spool.name_.data(), O_CLOEXEC));
  if (!spool.fd_.valid()) return ErrnoStatus(errno, beside, "cannot create a temporary file beside it");
  unlink(spool.name_.c_str());
  spool.name_ = absl::StrCat("a temporary file beside ", beside);
  return spool;
}

absl::Status EmbeddingsWriter::Spool::Append(absl::string_view bytes) {
  pending_.append(bytes.data(), bytes.size());
  bytes_ += static_cast<int64_t>(bytes.size());
  return pending_.size() < kPiece ? absl::OkStatus() : Flush();
}

absl::Status EmbeddingsWriter::Spool::Flush() {
  for (size_t done = 0; done < pending_.size();) {
    const ssize_t written = write(fd_.get(), pending_.data() + done, pending_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, name_, "cannot write");
    done += static_cast<size_t>(written);
  }
  pending_.clear();
  return absl::OkStatus();
}

absl::Status EmbeddingsWriter::Spool::CopyTo(const TensorSpec& tensor, SafetensorsWriter* file) {
  RETURN_IF_ERROR(Flush());
  std::vector<std::byte> buffer(kPiece);
  for (int64_t at = 0; at < bytes_;) {
    const ssize_t got = pread(fd_.get(), buffer.data(), buffer.size(), at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, name_, "cannot read");
    if (got == 0) return absl::DataLossError(absl::StrCat(name_, ": it is shorter than what was written"));
    RETURN_IF_ERROR(
        file->AppendBytes(tensor.name, tensor.dtype, absl::MakeConstSpan(buffer).subspan(0, static_cast<size_t>(got))));
    at += got;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<EmbeddingsWriter>> EmbeddingsWriter::Create(const std::string& path, int64_t dim) {
  ASSIGN_OR_RETURN(Spool embeddings, Spool::Create(path));
  ASSIGN_OR_RETURN(Spool labels, Spool::Create(path));
  ASSIGN_OR_RETURN(Spool names, Spool::Create(path));
  return std::unique_ptr<EmbeddingsWriter>(
      new EmbeddingsWriter(path, dim, std::move(embeddings), std::move(labels), std::move(names)));
}

EmbeddingsWriter::EmbeddingsWriter(std::string path, int64_t dim, Spool embeddings, Spool labels, Spool names)
    : path_(std::move(path)),
      dim_(dim),
      embeddings_(std::move(embeddings)),
      labels_(std::move(labels)),
      names_(std::move(names)) {}

absl::Status EmbeddingsWriter::Append(absl::Span<const float> embedding, int64_t label, absl::string_view name) {
  if (static_cast<int64_t>(embedding.size()) != dim_) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": an embedding of ", embedding.size(), " dimensions instead of ", dim_));
  }
  RETURN_IF_ERROR(embeddings_.Append(BytesOf(embedding.data(), embedding.size())));
  RETURN_IF_ERROR(labels_.Append(BytesOf(&label, 1)));
  const nlohmann::json quoted = std::string(name);
  const auto replace = nlohmann::json::error_handler_t::replace;  // a path need not be UTF-8
  RETURN_IF_ERROR(names_.Append(absl::StrCat(rows_ == 0 ? "[" : ",", quoted.dump(-1, ' ', false, replace))));
  ++rows_;
  return absl::OkStatus();
}

absl::Status EmbeddingsWriter::Finish(const SafetensorsMetadata& metadata) {
  RETURN_IF_ERROR(names_.Append(rows_ == 0 ? "[]" : "]"));
  const TensorSpec labels{"labels", TensorDtype::kI64, {rows_}};  // wide types first
  const TensorSpec embeddings{"embeddings", TensorDtype::kF32, {rows_, dim_}};
  const TensorSpec names{"names", TensorDtype::kU8, {names_.bytes()}};
  ASSIGN_OR_RETURN(SafetensorsWriter file, SafetensorsWriter::Create(path_, {labels, embeddings, names}, metadata));
  RETURN_IF_ERROR(labels_.CopyTo(labels, &file));
  RETURN_IF_ERROR(embeddings_.CopyTo(embeddings, &file));
  RETURN_IF_ERROR(names_.CopyTo(names, &file));
  return file.Finish();
}

}  // namespace arcshard::worker
