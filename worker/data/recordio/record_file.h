#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/file.h"
#include "worker/data/formats/fingerprint.h"

namespace arcshard::worker {

// A dmlc RecordIO file with its index, as MXNet's MXIndexedRecordIO writes them.
//
//   NAME.rec   records, each of one or several parts:
//              magic 0xced7230a | flag << 29 | length | payload | padding to 4 bytes      (little endian)
//              Flag 0 marks a whole record; 1, 2 and 3 mark its first, a middle and its last part. The writer splits a
//              payload where the magic occurs in it at a multiple of 4 and drops those 4 bytes; the reader restores
//              them.
//   NAME.idx   a line "number <tab> offset" for each record
//
// Thread-safe.
class RecordFile {
 public:
  // Checks every offset of the index, so that a .rec file that lacks whole records is refused; one that was cut off
  // within its last record has one damaged record. NotFound: one of the files is missing. FailedPrecondition: one is
  // not a file. InvalidArgument: one is a file of another kind, such as an HTML page, a line of the index is not a pair
  // of numbers, a number occurs twice, or the index is empty. Empty lines of the index are skipped, and so is a byte
  // order mark. OutOfRange: an offset is past the end of the .rec file.
  static absl::StatusOr<std::unique_ptr<RecordFile>> Open(const std::string& rec_path, const std::string& idx_path);

  // Reads the record's payload, all parts joined, into `payload`, whose memory is reused; after an error it is empty.
  // NotFound: the index has no such number. DataLoss: the bytes are not a record (the message names file, record and
  // offset). Unavailable: the device failed, or the file was truncated after Open.
  absl::Status Read(int64_t number, std::string* payload) const;

  const std::string& path() const { return file_.path(); }
  int64_t size() const { return static_cast<int64_t>(offsets_.size()); }
  // The i-th smallest record number; i in [0, size()).
  int64_t number(int64_t i) const { return numbers_.empty() ? i : numbers_[i]; }
  bool Contains(int64_t number) const { return Find(number) >= 0; }
  // A hash of all numbers and offsets.
  uint64_t fingerprint() const { return fingerprint_.value(); }

 private:
  explicit RecordFile(ReadableFile file) : file_(std::move(file)) {}
  absl::Status LoadIndex(const std::string& idx_path);
  // The index of record `number` in offsets_, or -1.
  int64_t Find(int64_t number) const;
  absl::Status ReadParts(int64_t number, int64_t offset, std::string* payload) const;
  // The offset of the next record in the file; the file's size if there is none.
  int64_t NextOffset(int64_t offset) const;
  // Whether a record begins at `offset`. Errors are those of the device.
  absl::StatusOr<bool> BeginsAt(int64_t offset) const;
  int64_t file_size() const { return static_cast<int64_t>(file_.size()); }

  const ReadableFile file_;
  std::vector<int64_t> offsets_;  // in the order of the record numbers
  std::vector<int64_t>
      sorted_;  // the offsets in ascending order; empty if offsets_ is, as usual, which halves the memory
  std::vector<int64_t> numbers_;  // ascending; empty if they are 0, 1, 2, ..., as usual, which halves the memory
  Fingerprint fingerprint_;
};

}  // namespace arcshard::worker
