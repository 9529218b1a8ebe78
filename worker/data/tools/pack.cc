#include "worker/data/tools/pack.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "worker/data/dataset_files.h"
#include "worker/data/formats/property.h"
#include "worker/data/images/image_decode.h"
#include "worker/data/images/image_encode.h"
#include "worker/data/recordio/record_header.h"
#include "worker/data/recordio/record_writer.h"
#include "worker/data/tools/parallel_for.h"

namespace arcshard::worker {
namespace {

constexpr int64_t kMostClasses = int64_t{1} << 24;  // float32 represents every whole number up to it
constexpr int64_t kBlock = 512;                     // number of samples that are read and resized in parallel

// The records [first, second) of a class.
using Range = std::pair<int64_t, int64_t>;

// The range of each class if record `first` is the first sample's. Empty: the samples of some class are not neighbours.
// Requires: at most kMostClasses.
std::vector<Range> ClassRanges(const Survey& survey, int64_t first) {
  std::vector<Range> ranges(survey.classes);
  int64_t record = first;
  for (const int64_t label : survey.labels) {
    if (label < 0) continue;
    Range& range = ranges[label];
    if (range.first == 0) range = {record, record};
    if (range.second != record) return {};
    range.second = ++record;
  }
  // A class without images has an empty range where its images would be.
  int64_t next = first;
  for (Range& range : ranges) {
    if (range.first == 0) range = {next, next};
    next = range.second;
  }
  return ranges;
}

class Packer {
 public:
  Packer(const EncodedDataset& dataset, const PackOptions& options)
      : dataset_(dataset), options_(options), buffers_(options.threads) {}

  absl::Status Write(const Survey& survey, RecordWriter* records) {
    const std::vector<Range> ranges = ClassRanges(survey, 1);
    ordered_ = !ranges.empty();
    int64_t number = 0;
    if (ordered_) {
      const int64_t first_identity = survey.images + 1;
      RETURN_IF_ERROR(AddLabels(number++, {first_identity, first_identity + dataset_.classes()}, records));
    }
    std::vector<std::string> images(kBlock);
    std::vector<absl::Status> statuses(kBlock);
    for (int64_t begin = 0; begin < dataset_.samples(); begin += kBlock) {
      const int64_t count = std::min(kBlock, dataset_.samples() - begin);
      ParallelFor(options_.threads, count, [&](int thread, int64_t i) {
        if (survey.labels[begin + i] >= 0) statuses[i] = Encode(begin + i, &buffers_[thread], &images[i]);
      });
      for (int64_t i = 0; i < count; ++i) {
        const int64_t label = survey.labels[begin + i];
        if (label < 0) continue;
        RETURN_IF_ERROR(statuses[i]);
        RETURN_IF_ERROR(records->Add(
            number,
            absl::StrCat(ImageRecordHeader(static_cast<float>(label), static_cast<uint64_t>(number)), images[i])));
        ++number;
      }
      if (options_.progress != nullptr) options_.progress("packed", begin + count, dataset_.samples());
    }
    for (const Range& range : ranges) RETURN_IF_ERROR(AddLabels(number++, range, records));
    return absl::OkStatus();
  }

  bool ordered() const { return ordered_; }

 private:
  static absl::Status AddLabels(int64_t number, Range range, RecordWriter* records) {
    const float labels[] = {static_cast<float>(range.first), static_cast<float>(range.second)};
    return records->Add(number, LabelsRecordHeader(labels, static_cast<uint64_t>(number)));
  }

  // Sets `bytes` to the encoded image, at the wanted size.
  absl::Status Encode(int64_t sample, SampleBuffers* buffers, std::string* bytes) const {
    RETURN_IF_ERROR(dataset_.ReadEncoded(sample, &buffers->encoded));
    const absl::string_view encoded = buffers->encoded.image();
    bytes->assign(encoded.data(), encoded.size());
    if (options_.resize == 0) return absl::OkStatus();
    RETURN_IF_ERROR(DecodeImage(encoded, &buffers->drawn));
    if (buffers->drawn.width == options_.resize && buffers->drawn.height == options_.resize) return absl::OkStatus();
    const Image* resized = nullptr;
    RETURN_IF_ERROR(buffers->reader.Read(encoded, options_.resize, &resized));
    *bytes = IsPng(encoded) ? EncodePng(*resized) : EncodeJpeg(*resized);
    return absl::OkStatus();
  }

  const EncodedDataset& dataset_;
  const PackOptions& options_;
  std::vector<SampleBuffers> buffers_;
  bool ordered_ = true;
};

}  // namespace

absl::StatusOr<PackReport> PackDataset(const EncodedDataset& dataset, const std::string& out,
                                       const PackOptions& options) {
  const std::string rec = absl::StrCat(out, "/train.rec"), idx = absl::StrCat(out, "/train.idx"),
                    property = absl::StrCat(out, "/property");
  RETURN_IF_ERROR(CheckOutsideOf(dataset, out));
  std::error_code error;
  for (const std::string& path : {rec, idx, property}) {
    if (!std::filesystem::exists(path, error)) continue;
    if (!options.force) return absl::AlreadyExistsError(absl::StrCat(path, " already exists; --force replaces it"));
    if (DatasetReadsFile(dataset, path)) {
      return absl::FailedPreconditionError(absl::StrCat(path, " is what is packed: it is not replaced"));
    }
  }
  if (dataset.classes() > kMostClasses) {
    return absl::InvalidArgumentError(absl::StrCat(dataset.path(), " has ", dataset.classes(),
                                                   " classes; a record's float32 label can represent at most ",
                                                   kMostClasses));
  }
  const Survey survey = SurveyDataset(dataset, options.threads, options.progress);
  RETURN_IF_ERROR(CheckSound(survey, dataset.path(), "packed", options.skip_damaged));
  if (survey.images == 0) return absl::DataLossError(absl::StrCat(dataset.path(), " has no undamaged image"));

  PackReport report{.classes = dataset.classes(), .images = survey.images, .left_out = survey.damaged};
  std::tie(report.width, report.height) = MostFrequentSize(survey);
  report.mixed = survey.sizes.size() > 1;
  if (options.resize > 0) {
    report.width = report.height = options.resize;
    report.mixed = false;
  }
  RETURN_IF_ERROR(CreateFolders(out));
  ASSIGN_OR_RETURN(RecordWriter records, RecordWriter::Create(rec, idx));
  Packer packer(dataset, options);
  RETURN_IF_ERROR(packer.Write(survey, &records));
  report.ordered = packer.ordered();
  report.bytes = records.bytes();
  // The old records must go first: with a new index they would not be a data set.
  if (std::filesystem::remove(rec, error); error) return ErrnoStatus(error.value(), rec, "cannot replace");
  RETURN_IF_ERROR(WriteFileAtomically(property, PropertyText(dataset.classes(), report.height, report.width)));
  RETURN_IF_ERROR(records.Commit());
  return report;
}

}  // namespace arcshard::worker
