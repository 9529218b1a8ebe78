#include "worker/data/recordio/record_file.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/text/file_kind.h"
#include "worker/data/recordio/record_part.h"

namespace arcshard::worker {
namespace {

using Flag = RecordPartFlag;

constexpr int64_t kHeaderBytes = kRecordPartHeaderBytes;

struct IndexLine {
  int64_t number;
  int64_t offset;
};

void SkipBlanks(const char** text, const char* end) {
  while (*text != end && (**text == ' ' || **text == '\t' || **text == '\r')) ++*text;
}

// Moves `text` past the end of a line of nothing but blanks; false: it is none.
bool SkipEmptyLine(const char** text, const char* end) {
  const char* next = *text;
  SkipBlanks(&next, end);
  if (next != end && *next != '\n') return false;
  *text = next == end ? end : next + 1;
  return true;
}

// Parses "number <blanks> offset" and moves `text` past the end of the line.
bool ParseLine(const char** text, const char* end, IndexLine* line) {
  for (int64_t* value : {&line->number, &line->offset}) {
    SkipBlanks(text, end);
    const auto [next, error] = std::from_chars(*text, end, *value);
    if (error != std::errc() || *value < 0) return false;
    *text = next;
  }
  SkipBlanks(text, end);
  if (*text == end) return true;
  return *(*text)++ == '\n';
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordFile>> RecordFile::Open(const std::string& rec_path, const std::string& idx_path) {
  ASSIGN_OR_RETURN(ReadableFile rec, ReadableFile::Open(rec_path));
  std::string head(std::min<uint64_t>(kFileKindBytes, rec.size()), '\0');
  RETURN_IF_ERROR(rec.ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(head.data()), head.size())));
  if (const absl::string_view kind = FileKind(head); !kind.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(rec_path, " is ", kind, ", and no file of records"));
  }
  auto file = std::unique_ptr<RecordFile>(new RecordFile(std::move(rec)));
  RETURN_IF_ERROR(file->LoadIndex(idx_path));
  return file;
}

absl::Status RecordFile::LoadIndex(const std::string& idx_path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(idx_path));
  ASSIGN_OR_RETURN(const absl::string_view text, TextOfFile(idx_path, bytes));
  std::vector<IndexLine> lines;
  lines.reserve(std::count(text.begin(), text.end(), '\n') + 1);
  const char* next = text.data();
  const char* const end = next + text.size();
  for (int64_t at = 1; next != end; ++at) {
    if (SkipEmptyLine(&next, end)) continue;
    IndexLine line;
    if (!ParseLine(&next, end, &line)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", at, " of ", idx_path, " is not \"record number, tab, offset\""));
    }
    if (line.offset > file_size() - kHeaderBytes) {
      return absl::OutOfRangeError(absl::StrCat(idx_path, " says that record ", line.number, " begins at offset ",
                                                line.offset, ", but ", path(), " has only ", file_size(),
                                                " bytes: it is cut off, or the two don't belong together"));
    }
    lines.push_back(line);
  }
  if (lines.empty()) return absl::InvalidArgumentError(absl::StrCat(idx_path, " is empty"));

  const auto by_number = [](const IndexLine& a, const IndexLine& b) { return a.number < b.number; };
  if (!std::is_sorted(lines.begin(), lines.end(), by_number)) std::sort(lines.begin(), lines.end(), by_number);
  for (size_t i = 1; i < lines.size(); ++i) {
    if (lines[i].number == lines[i - 1].number) {
      return absl::InvalidArgumentError(absl::StrCat(idx_path, " names record ", lines[i].number, " twice"));
    }
  }
  // The numbers are distinct and ascend from 0 or more, so the last one shows whether any is missing.
  const bool dense = lines.back().number == static_cast<int64_t>(lines.size()) - 1;
  offsets_.reserve(lines.size());
  if (!dense) numbers_.reserve(lines.size());
  for (const IndexLine& line : lines) {
    offsets_.push_back(line.offset);
    if (!dense) numbers_.push_back(line.number);
    fingerprint_.Add(line.number);
    fingerprint_.Add(line.offset);
  }
  if (!std::is_sorted(offsets_.begin(), offsets_.end())) {
    sorted_ = offsets_;
    std::sort(sorted_.begin(), sorted_.end());
  }
  return absl::OkStatus();
}

int64_t RecordFile::Find(int64_t number) const {
  if (numbers_.empty()) return number >= 0 && number < size() ? number : -1;
  const auto found = std::lower_bound(numbers_.begin(), numbers_.end(), number);
  return found != numbers_.end() && *found == number ? found - numbers_.begin() : -1;
}

int64_t RecordFile::NextOffset(int64_t offset) const {
  const std::vector<int64_t>& ascending = sorted_.empty() ? offsets_ : sorted_;
  const auto next = std::upper_bound(ascending.begin(), ascending.end(), offset);
  return next == ascending.end() ? file_size() : *next;
}

absl::StatusOr<bool> RecordFile::BeginsAt(int64_t offset) const {
  if (offset > file_size() - kHeaderBytes) return false;
  uint32_t magic = 0;
  RETURN_IF_ERROR(file_.ReadAt(offset, absl::MakeSpan(reinterpret_cast<std::byte*>(&magic), sizeof(magic))));
  return magic == kRecordMagic;
}

absl::Status RecordFile::Read(int64_t number, std::string* payload) const {
  payload->clear();
  const int64_t at = Find(number);
  if (at < 0) return absl::NotFoundError(absl::StrCat("the index of ", path(), " has no record ", number));
  absl::Status status = ReadParts(number, offsets_[at], payload);
  if (!status.ok()) payload->clear();
  return status;
}

absl::Status RecordFile::ReadParts(int64_t number, int64_t offset, std::string* payload) const {
  const int64_t next = NextOffset(offset);
  const auto loss = [&](const auto&... what) {
    return absl::DataLossError(absl::StrCat("record ", number, " of ", path(), ": ", what...));
  };
  for (bool first = true;; first = false) {
    uint32_t header[2];
    if (offset > file_size() - kHeaderBytes) {
      return loss("cut off: a part's header at offset ", offset, " passes the end at ", file_size());
    }
    RETURN_IF_ERROR(file_.ReadAt(offset, absl::MakeSpan(reinterpret_cast<std::byte*>(header), kHeaderBytes)));
    if (header[0] != kRecordMagic) return loss("no record begins at offset ", offset, " (magic number missing)");
    const auto flag = static_cast<Flag>(header[1] >> kRecordLengthBits);
    const int64_t length = header[1] & ((1u << kRecordLengthBits) - 1);
    if (first ? flag != Flag::kWhole && flag != Flag::kFirst : flag != Flag::kMiddle && flag != Flag::kLast) {
      return loss("the part at offset ", offset, " has flag ", static_cast<uint32_t>(flag), ", which can't ",
                  first ? "begin a record" : "follow another part");
    }
    const int64_t padded = (length + 3) / 4 * 4;
    const int64_t end = offset + kHeaderBytes + padded;
    if (end > file_size()) {
      return loss("cut off: ", length, " bytes at offset ", offset + kHeaderBytes, " pass the end at ", file_size());
    }
    if (end > next) {  // then this length is wrong, or else the index
      ASSIGN_OR_RETURN(const bool begins, BeginsAt(next));
      if (begins) return loss(length, " bytes at offset ", offset + kHeaderBytes, " pass the next record at ", next);
    }
    if (!first) payload->append(reinterpret_cast<const char*>(&kRecordMagic), sizeof(kRecordMagic));
    const size_t before = payload->size();
    payload->resize(before + length);
    RETURN_IF_ERROR(file_.ReadAt(offset + kHeaderBytes,
                                 absl::MakeSpan(reinterpret_cast<std::byte*>(payload->data()) + before, length)));
    if (flag == Flag::kWhole || flag == Flag::kLast) return absl::OkStatus();
    offset = end;
  }
}

}  // namespace arcshard::worker
