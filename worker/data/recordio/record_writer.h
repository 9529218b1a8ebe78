#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/io/file.h"

namespace arcshard::worker {

// Payloads are shorter than this, because the length of a part has 29 bits.
constexpr size_t kMaxRecordBytes = size_t{1} << 29;

// Splits a record into parts (record_file.h) as dmlc's writer does, and appends them to `rec`.
void AppendRecord(absl::string_view payload, std::string* rec);

// Writes the two files of a RecordFile. They appear at Commit; without it neither does. Not thread-safe.
class RecordWriter {
 public:
  // Errors are AtomicFile::Create's.
  static absl::StatusOr<RecordWriter> Create(const std::string& rec_path, const std::string& idx_path);

  // InvalidArgument: the payload has kMaxRecordBytes or more. Other errors are AtomicFile::Append's.
  absl::Status Add(int64_t number, absl::string_view payload);

  // Commits the index before the records, so that a .rec file always has a complete index. Call it once, last.
  absl::Status Commit();

  // The size of the .rec file so far.
  int64_t bytes() const { return bytes_; }

 private:
  RecordWriter(AtomicFile rec, AtomicFile idx) : rec_(std::move(rec)), idx_(std::move(idx)) {}
  absl::Status Flush();

  AtomicFile rec_, idx_;
  std::string rec_buffer_, idx_buffer_;
  int64_t bytes_ = 0;
};

}  // namespace arcshard::worker
