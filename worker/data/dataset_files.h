#pragma once

#include <string>

#include "worker/data/dataset.h"

namespace arcshard::worker {

// Whether `file` is one of those that `dataset` is read from: its list, the files of its records, its images. Looks at
// the name of every sample.
bool DatasetReadsFile(const Dataset& dataset, const std::string& file);

}  // namespace arcshard::worker
