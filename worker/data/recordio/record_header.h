#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace arcshard::worker {

// MXNet's IRHeader, which begins a record's payload: flag (uint32), label (float32), id and id2 (uint64 each). If flag
// is above 0, so many float32 labels follow the header and replace its own.
struct RecordHeader {
  float label = 0;         // the first label
  float second_label = 0;  // the second one, if at least two follow the header
  uint32_t labels = 0;     // the number of labels that follow; 0: the header has the only one
  size_t end = 0;          // the offset of the first byte after the header and its labels

  // Returns false if the payload is shorter than its header and labels.
  bool Parse(absl::string_view payload);
};

// The header of an image of class `label`, and a header with the labels that follow it. id: the record's number.
std::string ImageRecordHeader(float label, uint64_t id);
std::string LabelsRecordHeader(absl::Span<const float> labels, uint64_t id);

}  // namespace arcshard::worker
