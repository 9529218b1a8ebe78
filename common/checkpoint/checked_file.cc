#include "common/checkpoint/checked_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/crc32c.h"

namespace arcshard {
namespace {

constexpr uint64_t kBlock = FileRecord::kBlockBytes;
constexpr uint64_t kBlocksAtOnce = 8;  // in one read: few enough to be in the cache when they are checked

}  // namespace

absl::StatusOr<std::unique_ptr<CheckedFile>> CheckedFile::Create(std::unique_ptr<ByteSource> file, FileRecord record) {
  if (file->size() != record.bytes || record.block_crc32c.size() != (record.bytes + kBlock - 1) / kBlock) {
    return absl::DataLossError(
        absl::StrCat(file->path(), ": has ", file->size(), " bytes, but ", record.bytes, " were written"));
  }
  return std::unique_ptr<CheckedFile>(new CheckedFile(std::move(file), std::move(record)));
}

uint64_t CheckedFile::BlockSize(uint64_t index) const { return std::min(kBlock, record_.bytes - index * kBlock); }

absl::Status CheckedFile::ReadBlocks(uint64_t first, absl::Span<std::byte> out) const {
  RETURN_IF_ERROR(file_->ReadAt(first * kBlock, out));
  for (uint64_t index = first; !out.empty(); ++index) {
    const absl::Span<std::byte> block = out.first(BlockSize(index));
    if (const uint32_t crc = Crc32c(block); crc != record_.block_crc32c[index]) {
      return absl::DataLossError(
          absl::StrFormat("%s: is damaged: the %d bytes from byte %d on have the CRC-32C %08x, but %08x was written",
                          path(), block.size(), index * kBlock, crc, record_.block_crc32c[index]));
    }
    out.remove_prefix(block.size());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const std::vector<std::byte>>> CheckedFile::KeptBlock(uint64_t index, bool keep) const {
  std::shared_ptr<const std::vector<std::byte>> bytes;
  {
    MutexLock lock(&mutex_);
    const auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Block& b) { return b.index == index; });
    if (found != kept_.end()) {
      bytes = std::move(found->bytes);
      kept_.erase(found);
      if (keep) kept_.push_back({index, bytes});
      return bytes;
    }
  }
  // The lock is not held while reading, so no thread waits for another's disk; two may read the same block.
  auto read = std::make_shared<std::vector<std::byte>>(BlockSize(index));
  RETURN_IF_ERROR(ReadBlocks(index, absl::MakeSpan(*read)));
  bytes = std::move(read);
  if (!keep) return bytes;
  MutexLock lock(&mutex_);
  if (kept_.size() == kBlocksKept) kept_.erase(kept_.begin());
  kept_.push_back({index, bytes});
  return bytes;
}

absl::Status CheckedFile::ReadAt(uint64_t offset, absl::Span<std::byte> out) const {
  if (offset > record_.bytes || out.size() > record_.bytes - offset) {
    return absl::DataLossError(absl::StrCat(path(), ": ", out.size(), " bytes at offset ", offset,
                                            " are past the file's end at ", record_.bytes));
  }
  while (!out.empty()) {
    const uint64_t index = offset / kBlock;
    const uint64_t skipped = offset % kBlock;
    uint64_t taken;
    if (skipped == 0 && out.size() >= BlockSize(index)) {
      // Whole blocks. The last block of the file may be shorter.
      taken = std::min<uint64_t>(out.size(), kBlocksAtOnce * kBlock);
      if (offset + taken != record_.bytes) taken -= taken % kBlock;
      RETURN_IF_ERROR(ReadBlocks(index, out.first(taken)));
    } else {
      const uint64_t left = BlockSize(index) - skipped;
      taken = std::min<uint64_t>(out.size(), left);
      ASSIGN_OR_RETURN(const auto block, KeptBlock(index, taken < left));
      std::memcpy(out.data(), block->data() + skipped, taken);
    }
    offset += taken;
    out.remove_prefix(taken);
  }
  return absl::OkStatus();
}

absl::Status CheckedFile::Verify() const {
  std::vector<std::byte> buffer(std::min(record_.bytes, kBlocksAtOnce * kBlock));
  uint32_t crc = 0;
  for (uint64_t offset = 0; offset < record_.bytes; offset += buffer.size()) {
    const auto piece = absl::MakeSpan(buffer).first(std::min<uint64_t>(buffer.size(), record_.bytes - offset));
    RETURN_IF_ERROR(ReadBlocks(offset / kBlock, piece));
    crc = Crc32c(piece, crc);
  }
  if (crc != record_.crc32c) {
    return absl::DataLossError(
        absl::StrFormat("%s: is damaged: it has the CRC-32C %08x, but %08x was written", path(), crc, record_.crc32c));
  }
  return absl::OkStatus();
}

}  // namespace arcshard
