#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace arcshard::worker {

// MXNet's IRHeader, with which a record's payload begins: flag (uint32), label (float32), id, id2 (uint64 each); flag >
// 0: so many float32 labels follow and replace the label.
struct RecordHeader {
  float label = 0;
  float second_label = 0;  // of those that follow, if there are two
  uint32_t labels = 0;     // that follow; 0: the one inside the header
  size_t end = 0;          // where what comes after it begins

  // False: the payload is shorter than its header says.
  bool Parse(absl::string_view payload);
};

// The header of an image of class `label`, and one with labels behind it. `id`: the record's number.
std::string ImageRecordHeader(float label, uint64_t id);
std::string LabelsRecordHeader(absl::Span<const float> labels, uint64_t id);

}  // namespace arcshard::worker
