#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/config/run_config.h"
#include "worker/data/dataset.h"

namespace arcshard::worker {

// How a training set lies there: the values of data.format.
enum class DatasetFormat { kAuto, kRecordIo, kSeed, kFolders, kList, kSynthetic };

// "auto", "recordio", ... InvalidArgument: there is no such format.
absl::StatusOr<DatasetFormat> ParseDatasetFormat(absl::string_view name);
absl::string_view ToString(DatasetFormat format);

// What lies at `path`: a file is a list; a folder with train.rec is recordio, one with property and a folder 00000017
// or the like seed, one with a folder that holds an image folders. NotFound: nothing does. InvalidArgument: none of
// these; the sentence says what was looked for.
absl::StatusOr<DatasetFormat> DetectFormat(const std::string& path);

struct DatasetOptions {
  std::string path = "";
  std::string format = "auto";
  std::string root = "";          // list: what its paths count from; empty: the list's folder
  int64_t classes = 0;            // N; 0: as the data say
  int64_t synthetic_samples = 0;  // synthetic only, as the seed
  uint64_t seed = 1;
};

DatasetOptions DatasetOptionsOf(const RunConfig& config);

// Errors as of DetectFormat and of the formats: record_dataset.h, seed_folders.h, class_folders.h, image_list.h,
// synthetic_dataset.h. InvalidArgument too: a root for what is no list.
absl::StatusOr<std::unique_ptr<Dataset>> OpenDataset(const DatasetOptions& options);

// The same for what needs files. InvalidArgument: synthetic.
absl::StatusOr<std::unique_ptr<EncodedDataset>> OpenEncodedDataset(const DatasetOptions& options);

}  // namespace arcshard::worker
