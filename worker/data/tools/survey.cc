#include "worker/data/tools/survey.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "worker/data/tools/parallel_for.h"

namespace arcshard::worker {
namespace {

// What one thread has found so far, and its buffers.
struct Part {
  EncodedSample encoded;
  Image image;
  Survey seen;

  // Counts a sample. status: the result of reading it.
  void Take(int64_t sample, const std::string& name, absl::Status status, absl::string_view bytes) {
    if (status.ok()) {
      status = DecodeImage(bytes, &image);
      if (!status.ok()) status = absl::Status(status.code(), absl::StrCat(name, ": ", status.message()));
    }
    if (!status.ok()) return seen.damaged.push_back({sample, std::move(status)});
    ++seen.images;
    seen.bytes += static_cast<int64_t>(bytes.size());
    ++seen.sizes[{image.width, image.height}];
  }
};

Survey Sum(std::vector<Part> parts) {
  Survey sum;
  for (Part& part : parts) {
    sum.images += part.seen.images;
    sum.bytes += part.seen.bytes;
    for (const auto& [size, count] : part.seen.sizes) sum.sizes[size] += count;
    std::move(part.seen.damaged.begin(), part.seen.damaged.end(), std::back_inserter(sum.damaged));
  }
  std::sort(sum.damaged.begin(), sum.damaged.end(),
            [](const DamagedSample& a, const DamagedSample& b) { return a.sample < b.sample; });
  return sum;
}

}  // namespace

Survey SurveyDataset(const EncodedDataset& dataset, int threads) {
  std::vector<Part> parts(threads);
  std::vector<int64_t> labels(dataset.samples(), -1);
  ParallelFor(threads, dataset.samples(), [&](int thread, int64_t sample) {
    Part& part = parts[thread];
    const absl::Status status = dataset.ReadEncoded(sample, &part.encoded);
    const int64_t before = part.seen.images;
    part.Take(sample, dataset.NameOf(sample), status, part.encoded.image());
    if (part.seen.images > before) labels[sample] = part.encoded.label;
  });
  Survey survey = Sum(std::move(parts));
  survey.of_class.assign(dataset.classes(), 0);
  for (const int64_t label : labels) {
    if (label >= 0) ++survey.of_class[label];
  }
  survey.labels = std::move(labels);
  return survey;
}

Survey SurveySet(const VerificationSet& set, int threads) {
  std::vector<Part> parts(threads);
  ParallelFor(threads, set.images(), [&](int thread, int64_t i) {
    parts[thread].Take(i, absl::StrCat("image ", i, " of ", set.path()), absl::OkStatus(), set.image(i));
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
  return absl::Status(bad.front()->status.code(),
                      absl::StrCat(bad.size(), " of the ", survey.labels.size(), " images of ", path, " can't be ",
                                   verb, ": ", names, bad.size() > kNamed ? "; ..." : ""));
}

}  // namespace arcshard::worker
