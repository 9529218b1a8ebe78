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

// A file whose every byte that is read is checked against its record, block by block. Whole blocks are read straight
// into where they are wanted, many at once; of a block that is wanted in part the whole is read and kept until its end
// was wanted, so that reading a tensor row by row, or several in turns, reads no block twice. Thread-safe.
class CheckedFile final : public ByteSource {
 public:
  // DataLoss: the file is not of the record's size.
  static absl::StatusOr<std::unique_ptr<CheckedFile>> Create(std::unique_ptr<ByteSource> file, FileRecord record);

  const std::string& path() const override { return file_->path(); }
  uint64_t size() const override { return record_.bytes; }
  // DataLoss: a block is not what was written.
  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override;

  // Reads and checks all of it, the CRC of the whole too.
  absl::Status Verify() const;

 private:
  struct Block {
    uint64_t index = 0;
    std::shared_ptr<const std::vector<std::byte>> bytes;
  };
  // As many as a file of class centers has tensors: their rows may be read in turns.
  static constexpr size_t kBlocksKept = 4;

  CheckedFile(std::unique_ptr<ByteSource> file, FileRecord record)
      : file_(std::move(file)), record_(std::move(record)) {}

  uint64_t BlockSize(uint64_t index) const;
  // out: whole blocks from block `first` on.
  absl::Status ReadBlocks(uint64_t first, absl::Span<std::byte> out) const;
  absl::StatusOr<std::shared_ptr<const std::vector<std::byte>>> KeptBlock(uint64_t index, bool keep) const;

  const std::unique_ptr<ByteSource> file_;
  const FileRecord record_;
  mutable Mutex mutex_;
  mutable std::vector<Block> kept_ ABSL_GUARDED_BY(mutex_);  // the one used last comes last
};

}  // namespace arcshard
