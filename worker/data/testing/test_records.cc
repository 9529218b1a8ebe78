#include "worker/data/testing/test_records.h"

#include "absl/strings/str_cat.h"
#include "worker/data/recordio/record_header.h"
#include "worker/data/recordio/record_part.h"
#include "worker/data/recordio/record_writer.h"

namespace arcshard::worker {
namespace {

std::string Bytes32(uint32_t value) { return std::string(reinterpret_cast<const char*>(&value), 4); }

}  // namespace

void TestRecords::AddPart(uint32_t flag, absl::string_view payload) {
  absl::StrAppend(&rec, Bytes32(kRecordMagic), Bytes32(flag << 29 | static_cast<uint32_t>(payload.size())), payload);
  rec.append((4 - payload.size() % 4) % 4, '\0');
}

void TestRecords::AddIndexLine(int64_t number, int64_t offset) { absl::StrAppend(&idx, number, "\t", offset, "\n"); }

void TestRecords::Add(int64_t number, absl::string_view payload) {
  AddIndexLine(number, static_cast<int64_t>(rec.size()));
  AppendRecord(payload, &rec);
}

void TestRecords::WriteTo(const TestFolder& folder, int64_t classes) const {
  folder.Write("train.rec", rec);
  folder.Write("train.idx", idx);
  folder.Write("property", absl::StrCat(classes, ",8,8\n"));
}

std::string RecordWithLabels(const std::vector<float>& labels, absl::string_view encoded) {
  return absl::StrCat(LabelsRecordHeader(labels, 0), encoded);
}

std::string ImageRecord(float label, absl::string_view encoded) {
  return absl::StrCat(ImageRecordHeader(label, 0), encoded);
}

}  // namespace arcshard::worker
