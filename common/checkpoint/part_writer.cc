#include "common/checkpoint/part_writer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/crc32c.h"

namespace arcshard {
namespace {

// A long Append is split, so that the bytes are still in the cache when they are written after their CRC is computed.
constexpr size_t kLargestWrite = size_t{4} << 20;

// Extends `record` by `data`, the file's next bytes.
void Extend(FileRecord* record, absl::Span<const std::byte> data) {
  while (!data.empty()) {
    const uint64_t filled = record->bytes % FileRecord::kBlockBytes;
    if (filled == 0) record->block_crc32c.push_back(0);
    const absl::Span<const std::byte> piece = data.first(std::min(data.size(), FileRecord::kBlockBytes - filled));
    record->block_crc32c.back() = Crc32c(piece, record->block_crc32c.back());
    record->crc32c = Crc32c(piece, record->crc32c);
    record->bytes += piece.size();
    data.remove_prefix(piece.size());
  }
}

class SafetensorsPart final : public PartWriter {
 public:
  SafetensorsPart(SafetensorsWriter writer, std::string name) : writer_(std::move(writer)) {
    record_.name = std::move(name);
    const absl::string_view header = writer_.header();
    Extend(&record_, absl::MakeConstSpan(reinterpret_cast<const std::byte*>(header.data()), header.size()));
  }

  absl::Status Append(absl::string_view tensor, TensorDtype dtype, absl::Span<const std::byte> data) override {
    while (!data.empty() && status_.ok()) {
      const absl::Span<const std::byte> piece = data.first(std::min(data.size(), kLargestWrite));
      Extend(&record_, piece);
      status_ = writer_.AppendBytes(tensor, dtype, piece);
      data.remove_prefix(piece.size());
    }
    return status_;
  }

  absl::StatusOr<FileRecord> Finish() override {
    RETURN_IF_ERROR(status_);
    RETURN_IF_ERROR(writer_.Finish());
    return std::move(record_);
  }

 private:
  SafetensorsWriter writer_;
  FileRecord record_;
  absl::Status status_;  // the first error, after which `record_` and the file may differ
};

}  // namespace

absl::StatusOr<std::unique_ptr<PartWriter>> PartWriter::Create(FileSystem* files, const std::string& folder,
                                                               const std::string& name, std::vector<TensorSpec> tensors,
                                                               const SafetensorsMetadata& metadata) {
  RETURN_IF_ERROR(files->CreateFolders(folder));
  ASSIGN_OR_RETURN(SafetensorsWriter writer,
                   SafetensorsWriter::Create(absl::StrCat(folder, "/", name), std::move(tensors), metadata, files));
  return std::make_unique<SafetensorsPart>(std::move(writer), name);
}

}  // namespace arcshard
