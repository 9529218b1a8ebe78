#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/base/mutex.h"
#include "common/io/file_system.h"
#include "common/protocol/checkpoint_report.h"

namespace arcshard {

// A file that checks all bytes it reads against its record, block by block. Whole blocks are read directly into the
// caller's memory, several at once. If only a part of a block is requested, the whole block is read and kept until its
// last byte was requested. So no block is read twice when a tensor is read row by row, or several in turns.
// Thread-safe.
class CheckedFile final : public ByteSource {
 public:
  // DataLoss: the file does not have the record's size.
  static absl::StatusOr<std::unique_ptr<CheckedFile>> Create(std::unique_ptr<ByteSource> file, FileRecord record);

  const std::string& path() const override { return file_->path(); }
  uint64_t size() const override { return record_.bytes; }
  // DataLoss: a block differs from what was written.
  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override;

  // Reads and checks the whole file, including its CRC.
  absl::Status Verify() const;

 private:
  struct Block {
    uint64_t index = 0;
    std::shared_ptr<const std::vector<std::byte>> bytes;
  };
  // A file of class centers has so many tensors, whose rows may be read in turns.
  static constexpr size_t kBlocksKept = 4;

  CheckedFile(std::unique_ptr<ByteSource> file, FileRecord record)
      : file_(std::move(file)), record_(std::move(record)) {}

  uint64_t BlockSize(uint64_t index) const;
  // Reads whole blocks, beginning with number `first`.
  absl::Status ReadBlocks(uint64_t first, absl::Span<std::byte> out) const;
  absl::StatusOr<std::shared_ptr<const std::vector<std::byte>>> KeptBlock(uint64_t index, bool keep) const;

  const std::unique_ptr<ByteSource> file_;
  const FileRecord record_;
  mutable Mutex mutex_;
  mutable std::vector<Block> kept_ ABSL_GUARDED_BY(mutex_);  // the most recently used is last
};

}  // namespace arcshard
