#include "worker/data/tools/survey.h"

#include <algorithm>
#include <iterator>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/data/images/exif_orientation.h"
#include "worker/data/images/image_decode.h"
#include "worker/data/tools/parallel_for.h"

namespace arcshard::worker {
namespace {

// What one thread has found so far, and its buffers.
struct Part {
  EncodedSample encoded;
  Image image;
  Survey seen;

  // Counts a sample that was read. Returns whether it is sound.
  bool Take(int64_t sample, const std::string& name, absl::string_view bytes) {
    DecodeNotes notes;
    if (absl::Status status = DecodeImage(bytes, &image, &notes); !status.ok()) {
      TakeUnread(sample, Annotate(status, name));
      return false;
    }
    ++seen.images;
    if (notes.no_end_marker) ++seen.without_end;
    if (ExifOrientation(bytes) != 1) ++seen.turned;
    seen.bytes += static_cast<int64_t>(bytes.size());
    ++seen.sizes[{image.width, image.height}];
    return true;
  }
  void TakeUnread(int64_t sample, absl::Status status) { seen.damaged.push_back({sample, std::move(status)}); }
};

Survey Sum(std::vector<Part> parts) {
  Survey sum;
  for (Part& part : parts) {
    sum.images += part.seen.images;
    sum.bytes += part.seen.bytes;
    sum.without_end += part.seen.without_end;
    sum.turned += part.seen.turned;
    for (const auto& [size, count] : part.seen.sizes) sum.sizes[size] += count;
    std::move(part.seen.damaged.begin(), part.seen.damaged.end(), std::back_inserter(sum.damaged));
  }
  std::sort(sum.damaged.begin(), sum.damaged.end(),
            [](const DamagedSample& a, const DamagedSample& b) { return a.sample < b.sample; });
  return sum;
}

std::vector<ClassCount> CountClasses(const std::vector<int64_t>& labels) {
  absl::flat_hash_map<int64_t, int64_t> counts;
  for (const int64_t label : labels) {
    if (label >= 0) ++counts[label];
  }
  std::vector<ClassCount> classes;
  classes.reserve(counts.size());
  for (const auto& [label, images] : counts) classes.push_back({label, images});
  std::sort(classes.begin(), classes.end(), [](const ClassCount& a, const ClassCount& b) { return a.label < b.label; });
  return classes;
}

// Thread 0 is the one that called ParallelFor, and the items are taken in order.
void Report(const ProgressFunction& progress, int thread, int64_t item, int64_t all) {
  if (thread == 0 && progress != nullptr) progress("checked", item, all);
}

}  // namespace

Survey SurveyDataset(const EncodedDataset& dataset, int threads, const ProgressFunction& progress) {
  std::vector<Part> parts(threads);
  std::vector<int64_t> labels(dataset.samples(), -1);
  ParallelFor(threads, dataset.samples(), [&](int thread, int64_t sample) {
    Part& part = parts[thread];
    if (absl::Status status = dataset.ReadEncoded(sample, &part.encoded); !status.ok()) {
      part.TakeUnread(sample, std::move(status));
    } else if (part.Take(sample, dataset.NameOf(sample), part.encoded.image())) {
      labels[sample] = part.encoded.label;
    }
    Report(progress, thread, sample, dataset.samples());
  });
  if (const absl::Status damage = dataset.Damage(); !damage.ok()) parts[0].TakeUnread(-1, damage);
  Survey survey = Sum(std::move(parts));
  survey.classes = dataset.classes();
  survey.of_class = CountClasses(labels);
  survey.labels = std::move(labels);
  return survey;
}

Survey SurveySet(const VerificationSet& set, int threads, const ProgressFunction& progress) {
  std::vector<Part> parts(threads);
  ParallelFor(threads, set.images(), [&](int thread, int64_t i) {
    parts[thread].Take(i, absl::StrCat("image ", i, " of ", set.path()), set.image(i));
    Report(progress, thread, i, set.images());
  });
  return Sum(std::move(parts));
}

std::pair<int, int> MostFrequentSize(const Survey& survey) {
  if (survey.sizes.empty()) return {0, 0};
  return std::max_element(survey.sizes.begin(), survey.sizes.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

absl::Status CheckSound(const Survey& survey, const std::string& path, absl::string_view verb, bool may_skip) {
  constexpr size_t kNamed = 3;
  std::vector<const DamagedSample*> bad;
  for (const DamagedSample& damaged : survey.damaged) {
    if (!may_skip || !absl::IsDataLoss(damaged.status)) bad.push_back(&damaged);
  }
  if (bad.empty()) return absl::OkStatus();
  std::string names;
  for (size_t i = 0; i < std::min(bad.size(), kNamed); ++i)
    absl::StrAppend(&names, i == 0 ? "" : "; ", bad[i]->status.message());
  return absl::Status(
      bad.front()->status.code(),
      absl::StrCat(bad.size(), " of the ", survey.images + static_cast<int64_t>(survey.damaged.size()), " images of ",
                   path, " can't be ", verb, ": ", names, bad.size() > kNamed ? "; ..." : ""));
}

}  // namespace arcshard::worker
