#include "worker/data/recordio/record_writer.h"

#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/recordio/record_part.h"

namespace arcshard::worker {
namespace {

using Flag = RecordPartFlag;

constexpr size_t kFlushBytes = size_t{1} << 20;

void AppendPart(Flag flag, absl::string_view part, std::string* rec) {
  const uint32_t header[2] = {kRecordMagic,
                              static_cast<uint32_t>(flag) << kRecordLengthBits | static_cast<uint32_t>(part.size())};
  rec->append(reinterpret_cast<const char*>(header), sizeof(header));
  rec->append(part.data(), part.size());
  rec->append((4 - part.size() % 4) % 4, '\0');
}

}  // namespace

void AppendRecord(absl::string_view payload, std::string* rec) {
  // Readers that search for the next record look for the magic number, so it must not occur inside a part.
  size_t begin = 0;
  bool whole = true;
  for (size_t i = 0; i + 4 <= payload.size(); i += 4) {
    if (std::memcmp(payload.data() + i, &kRecordMagic, 4) != 0) continue;
    AppendPart(whole ? Flag::kFirst : Flag::kMiddle, payload.substr(begin, i - begin), rec);
    whole = false;
    begin = i + 4;
  }
  AppendPart(whole ? Flag::kWhole : Flag::kLast, payload.substr(begin), rec);
}

absl::StatusOr<RecordWriter> RecordWriter::Create(const std::string& rec_path, const std::string& idx_path) {
  ASSIGN_OR_RETURN(AtomicFile rec, AtomicFile::Create(rec_path));
  ASSIGN_OR_RETURN(AtomicFile idx, AtomicFile::Create(idx_path));
  return RecordWriter(std::move(rec), std::move(idx));
}

absl::Status RecordWriter::Add(int64_t number, absl::string_view payload) {
  if (payload.size() >= kMaxRecordBytes) {
    return absl::InvalidArgumentError(absl::StrCat("record ", number, " has ", payload.size(),
                                                   " bytes; a record of a RecordIO file has at most ",
                                                   kMaxRecordBytes - 1));
  }
  absl::StrAppend(&idx_buffer_, number, "\t", bytes_, "\n");
  const size_t before = rec_buffer_.size();
  AppendRecord(payload, &rec_buffer_);
  bytes_ += static_cast<int64_t>(rec_buffer_.size() - before);
  return rec_buffer_.size() + idx_buffer_.size() < kFlushBytes ? absl::OkStatus() : Flush();
}

absl::Status RecordWriter::Flush() {
  RETURN_IF_ERROR(rec_.Append(rec_buffer_));
  rec_buffer_.clear();
  RETURN_IF_ERROR(idx_.Append(idx_buffer_));
  idx_buffer_.clear();
  return absl::OkStatus();
}

absl::Status RecordWriter::Commit() {
  RETURN_IF_ERROR(Flush());
  RETURN_IF_ERROR(idx_.Commit());
  return rec_.Commit();
}

}  // namespace arcshard::worker
