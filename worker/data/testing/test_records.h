#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::worker {

// Makes train.rec and train.idx in memory.
class TestRecords {
 public:
  void Add(int64_t number, absl::string_view payload);
  // Appends one part with this flag (record_part.h) to `rec`, and nothing to `idx`.
  void AddPart(uint32_t flag, absl::string_view payload);
  void AddIndexLine(int64_t number, int64_t offset);
  // Writes train.rec, train.idx and property to `folder`.
  void WriteTo(const TestFolder& folder, int64_t classes) const;

  std::string rec;
  std::string idx;
};

// The payload of a record: MXNet's IRHeader, with one label inside it or with `labels` after it, and then `encoded`.
std::string ImageRecord(float label, absl::string_view encoded);
std::string RecordWithLabels(const std::vector<float>& labels, absl::string_view encoded);

}  // namespace arcshard::worker
