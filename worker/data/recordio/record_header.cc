#include "worker/data/recordio/record_header.h"

#include <bit>
#include <cstring>

namespace arcshard::worker {
namespace {

static_assert(std::endian::native == std::endian::little,
              "records are little endian, and their fields are copied as they are");

constexpr size_t kHeaderBytes = 24;  // flag, label, id, id2

std::string Header(uint32_t flag, float label, uint64_t id) {
  std::string header(kHeaderBytes, '\0');
  std::memcpy(header.data(), &flag, 4);
  std::memcpy(header.data() + 4, &label, 4);
  std::memcpy(header.data() + 8, &id, 8);
  return header;
}

}  // namespace

bool RecordHeader::Parse(absl::string_view payload) {
  if (payload.size() < kHeaderBytes) return false;
  std::memcpy(&labels, payload.data(), 4);
  std::memcpy(&label, payload.data() + 4, 4);
  if (labels > (payload.size() - kHeaderBytes) / 4) return false;
  end = kHeaderBytes + size_t{4} * labels;
  if (labels > 0) std::memcpy(&label, payload.data() + kHeaderBytes, 4);
  if (labels > 1) std::memcpy(&second_label, payload.data() + kHeaderBytes + 4, 4);
  return true;
}

std::string ImageRecordHeader(float label, uint64_t id) { return Header(0, label, id); }

std::string LabelsRecordHeader(absl::Span<const float> labels, uint64_t id) {
  std::string header = Header(static_cast<uint32_t>(labels.size()), 0, id);
  header.append(reinterpret_cast<const char*>(labels.data()), 4 * labels.size());
  return header;
}

}  // namespace arcshard::worker
