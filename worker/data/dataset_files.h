#pragma once

#include <string>

#include "absl/status/status.h"
#include "worker/data/dataset.h"

namespace arcshard::worker {

// Whether `file` is one of those that `dataset` is read from: its list, the files of its records, its images. Looks at
// the name of every sample.
bool DatasetReadsFile(const Dataset& dataset, const std::string& file);

// FailedPrecondition: `dataset` is read from a folder of images, and `out` is that folder or lies in it. What is
// written there would be taken for a part of it, or for another data set in its place.
absl::Status CheckOutsideOf(const Dataset& dataset, const std::string& out);

}  // namespace arcshard::worker
