#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/io/file.h"

namespace arcshard::worker {

// A record's payload must be shorter: its length has 29 bits.
constexpr size_t kMaxRecordBytes = size_t{1} << 29;

// Appends the parts of one record (record_file.h) to `rec`, as dmlc's writer does.
void AppendRecord(absl::string_view payload, std::string* rec);

// Writes the files of a RecordFile. Both appear whole, with Commit, or not at all. Not thread-safe.
class RecordWriter {
 public:
  // Errors as of AtomicFile::Create.
  static absl::StatusOr<RecordWriter> Create(const std::string& rec_path, const std::string& idx_path);

  // InvalidArgument: kMaxRecordBytes or more. Others as of AtomicFile::Append.
  absl::Status Add(int64_t number, absl::string_view payload);

  // First the index, then the records: where there is a .rec, it is complete. Call once, last.
  absl::Status Commit();

  int64_t bytes() const { return bytes_; }  // of the .rec so far

 private:
  RecordWriter(AtomicFile rec, AtomicFile idx) : rec_(std::move(rec)), idx_(std::move(idx)) {}
  absl::Status Flush();

  AtomicFile rec_, idx_;
  std::string rec_buffer_, idx_buffer_;
  int64_t bytes_ = 0;
};

}  // namespace arcshard::worker
