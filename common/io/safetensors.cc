#include "common/io/safetensors.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/safetensors_header.h"

namespace arcshard {

using safetensors_internal::Header;

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(const std::string& path) {
  ASSIGN_OR_RETURN(ReadableFile file, ReadableFile::Open(path));
  return Open(std::make_shared<ReadableFile>(std::move(file)));
}

absl::StatusOr<SafetensorsFile> SafetensorsFile::Open(std::shared_ptr<const ByteSource> source) {
  const std::string& path = source->path();
  uint64_t length = 0;
  constexpr uint64_t kLengthBytes = sizeof(length);
  if (source->size() < kLengthBytes) {
    return absl::DataLossError(absl::StrCat(path, ": ", source->size(), " bytes are no safetensors file"));
  }
  RETURN_IF_ERROR(source->ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(&length), kLengthBytes)));
  if (length > safetensors_internal::kLargestHeader || length > source->size() - kLengthBytes) {
    return absl::DataLossError(absl::StrCat(
        path, ": a header of ", length, " bytes cannot be: the file has ", source->size(),
        " bytes and a header at most ", safetensors_internal::kLargestHeader, " (truncated, or no safetensors file?)"));
  }
  std::string text(length, '\0');
  RETURN_IF_ERROR(source->ReadAt(kLengthBytes, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size())));
  const uint64_t data_begin = kLengthBytes + length;
  absl::StatusOr<Header> header = safetensors_internal::ParseHeader(text, source->size() - data_begin);
  if (!header.ok()) return Annotate(header.status(), path);
  for (auto& [name, entry] : header->entries) entry.offset += data_begin;
  return SafetensorsFile(std::move(source), std::move(header->entries), std::move(header->metadata));
}

absl::StatusOr<const SafetensorsFile::Entry*> SafetensorsFile::Find(absl::string_view name) const {
  const auto found = entries_.find(std::string(name));
  if (found == entries_.end()) {
    return absl::NotFoundError(absl::StrCat(path(), ": has no tensor '", name, "'"));
  }
  return &found->second;
}

absl::StatusOr<const SafetensorsFile::Entry*> SafetensorsFile::FindTyped(absl::string_view name,
                                                                         TensorDtype dtype) const {
  ASSIGN_OR_RETURN(const Entry* entry, Find(name));
  if (entry->dtype != dtype) {
    return absl::InvalidArgumentError(
        absl::StrCat(path(), ": tensor '", name, "' is ", DtypeName(entry->dtype), ", not ", DtypeName(dtype)));
  }
  return entry;
}

absl::Status SafetensorsFile::ReadRowBytes(absl::string_view name, TensorDtype dtype, int64_t begin, int64_t end,
                                           absl::Span<std::byte> out) const {
  ASSIGN_OR_RETURN(const Entry* entry, FindTyped(name, dtype));
  if (entry->shape.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path(), ": tensor '", name, "' has no rows: it is a scalar"));
  }
  if (begin < 0 || end < begin || end > entry->shape[0]) {
    return absl::InvalidArgumentError(absl::StrCat(path(), ": tensor '", name, "' has ", entry->shape[0],
                                                   " rows; there are no rows [", begin, ", ", end, ")"));
  }
  const uint64_t row_bytes = entry->shape[0] == 0 ? 0 : entry->bytes / static_cast<uint64_t>(entry->shape[0]);
  const uint64_t wanted = static_cast<uint64_t>(end - begin) * row_bytes;
  if (out.size() != wanted) {
    return absl::InvalidArgumentError(absl::StrCat(path(), ": rows [", begin, ", ", end, ") of tensor '", name,
                                                   "' take ", wanted, " bytes, not ", out.size()));
  }
  return source_->ReadAt(entry->offset + static_cast<uint64_t>(begin) * row_bytes, out);
}

SafetensorsWriter::SafetensorsWriter(AtomicFile file, std::string header, std::vector<TensorSpec> tensors,
                                     std::vector<uint64_t> bytes)
    : file_(std::move(file)), header_(std::move(header)), tensors_(std::move(tensors)), bytes_(std::move(bytes)) {
  SkipFullTensors();
}

absl::StatusOr<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path, std::vector<TensorSpec> tensors,
                                                            const SafetensorsMetadata& metadata, FileSystem* files) {
  std::vector<uint64_t> bytes;
  std::set<absl::string_view> names = {"__metadata__"};
  uint64_t offset = 0;
  for (const TensorSpec& tensor : tensors) {
    const std::string subject = absl::StrCat(path, ": tensor '", tensor.name, "' ");
    if (!names.insert(tensor.name).second)
      return absl::InvalidArgumentError(absl::StrCat(subject, "is declared twice"));
    const absl::StatusOr<uint64_t> size = safetensors_internal::TensorBytes(tensor.dtype, tensor.shape);
    if (!size.ok()) return absl::InvalidArgumentError(absl::StrCat(subject, size.status().message()));
    if (offset % DtypeSize(tensor.dtype) != 0) {
      return absl::InvalidArgumentError(absl::StrCat(subject, "would begin at byte ", offset,
                                                     ", no multiple of the size of ", DtypeName(tensor.dtype),
                                                     ": declare wide types first"));
    }
    if (__builtin_add_overflow(offset, *size, &offset)) {
      return absl::InvalidArgumentError(absl::StrCat(subject, "makes the file longer than 64 bits count"));
    }
    bytes.push_back(*size);
  }
  absl::StatusOr<std::string> header = safetensors_internal::FormatHeader(tensors, bytes, metadata);
  if (!header.ok()) return Annotate(header.status(), path);
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path, files));
  RETURN_IF_ERROR(file.Append(*header));
  return SafetensorsWriter(std::move(file), *std::move(header), std::move(tensors), std::move(bytes));
}

absl::Status SafetensorsWriter::AppendBytes(absl::string_view name, TensorDtype dtype,
                                            absl::Span<const std::byte> data) {
  if (data.empty()) return absl::OkStatus();
  const std::string subject = absl::StrCat(file_.path(), ": tensor '", name, "' ");
  if (current_ == tensors_.size() || tensors_[current_].name != name) {
    return absl::InvalidArgumentError(
        absl::StrCat(subject, "is not the next to be written, ",
                     current_ == tensors_.size() ? "all are" : absl::StrCat("'", tensors_[current_].name, "' is")));
  }
  if (tensors_[current_].dtype != dtype) {
    return absl::InvalidArgumentError(
        absl::StrCat(subject, "is declared as ", DtypeName(tensors_[current_].dtype), ", not ", DtypeName(dtype)));
  }
  if (data.size() > bytes_[current_] - written_) {
    return absl::InvalidArgumentError(
        absl::StrCat(subject, "takes ", bytes_[current_], " bytes, not ", written_, " and ", data.size(), " more"));
  }
  RETURN_IF_ERROR(file_.Append(data));
  written_ += data.size();
  SkipFullTensors();
  return absl::OkStatus();
}

void SafetensorsWriter::SkipFullTensors() {
  while (current_ < tensors_.size() && written_ == bytes_[current_]) {
    ++current_;
    written_ = 0;
  }
}

absl::Status SafetensorsWriter::Finish() {
  if (current_ < tensors_.size()) {
    return absl::FailedPreconditionError(absl::StrCat(file_.path(), ": tensor '", tensors_[current_].name, "' lacks ",
                                                      bytes_[current_] - written_, " of its ", bytes_[current_],
                                                      " bytes"));
  }
  return file_.Commit();
}

absl::Status WriteSafetensors(const std::string& path, std::vector<TensorView> tensors,
                              const SafetensorsMetadata& metadata) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorView& a, const TensorView& b) {
    return DtypeSize(a.spec.dtype) > DtypeSize(b.spec.dtype);
  });
  std::vector<TensorSpec> specs;
  for (const TensorView& tensor : tensors) specs.push_back(tensor.spec);
  ASSIGN_OR_RETURN(SafetensorsWriter writer, SafetensorsWriter::Create(path, std::move(specs), metadata));
  for (const TensorView& tensor : tensors) {
    RETURN_IF_ERROR(writer.AppendBytes(tensor.spec.name, tensor.spec.dtype, tensor.data));
  }
  return writer.Finish();
}

}  // namespace arcshard
