#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/config/run_config.h"
#include "worker/data/dataset.h"

namespace arcshard::worker {

// The layout of a training set: the values of data.format.
enum class DatasetFormat { kAuto, kRecordIo, kSeed, kFolders, kList, kSynthetic };

// "auto", "recordio", ... InvalidArgument: there is no such format.
absl::StatusOr<DatasetFormat> ParseDatasetFormat(absl::string_view name);
absl::string_view ToString(DatasetFormat format);

// Detects the format of the data set at `path`: a file is kList, a folder with train.rec is kRecordIo, a folder with
// property and folders named like 00000017 is kSeed, and a folder with folders of images is kFolders. NotFound: there
// is nothing at `path`. InvalidArgument: none of these; the message says what was looked for.
absl::StatusOr<DatasetFormat> DetectFormat(const std::string& path);

struct DatasetOptions {
  std::string path = "";
  std::string format = "auto";
  std::string root = "";          // list: the folder that its paths start from; empty: the list's own
  int64_t classes = 0;            // N; 0: as many as the data have
  int64_t synthetic_samples = 0;  // only for synthetic data, like the seed
  uint64_t seed = 1;
};

DatasetOptions DatasetOptionsOf(const RunConfig& config);

// Errors are those of DetectFormat and of the formats (record_dataset.h, seed_folders.h, class_folders.h, image_list.h,
// synthetic_dataset.h), and InvalidArgument for a root where the format is not a list.
absl::StatusOr<std::unique_ptr<Dataset>> OpenDataset(const DatasetOptions& options);

// The same for formats that consist of files. InvalidArgument also for synthetic data.
absl::StatusOr<std::unique_ptr<EncodedDataset>> OpenEncodedDataset(const DatasetOptions& options);

}  // namespace arcshard::worker
