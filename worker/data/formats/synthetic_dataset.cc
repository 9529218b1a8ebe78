#include "worker/data/formats/synthetic_dataset.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/base/philox.h"
#include "worker/data/formats/fingerprint.h"
#include "worker/data/random_stream.h"

namespace arcshard::worker {

absl::StatusOr<std::unique_ptr<SyntheticDataset>> SyntheticDataset::Create(int64_t samples, int64_t classes,
                                                                           uint64_t seed) {
  if (samples < 1 || classes < 1) {
    return absl::InvalidArgumentError(absl::StrCat("synthetic data needs at least 1 sample and 1 class, not ", samples,
                                                   " and ", classes, " (data.synthetic_samples, head.classes)"));
  }
  return std::unique_ptr<SyntheticDataset>(
      new SyntheticDataset(samples, classes, StreamKey(seed, RandomStream::kSyntheticData)));
}

absl::StatusOr<LabeledImage> SyntheticDataset::Read(int64_t sample, int side, SampleBuffers* buffers) const {
  // Block 0 of a sample's stream gives its label; the blocks from 1 on give its pixels, 16 bytes each.
  const auto words = Philox(key_, static_cast<uint64_t>(sample), 0);
  const uint64_t random = words[0] | uint64_t{words[1]} << 32;
  __extension__ using Wide = unsigned __int128;
  const auto label = static_cast<int64_t>(Wide{random} * static_cast<uint64_t>(classes_) >> 64);

  Image& image = buffers->drawn;
  image.Resize(side, side);
  const size_t size = image.pixels.size();
  for (size_t at = 0, block = 1; at < size; at += 16, ++block) {
    const auto bytes = Philox(key_, static_cast<uint64_t>(sample), block);
    std::memcpy(image.pixels.data() + at, bytes.data(), std::min<size_t>(16, size - at));
  }
  return LabeledImage{label, &image};
}

uint64_t SyntheticDataset::fingerprint() const {
  Fingerprint fingerprint;
  for (const uint64_t value : {static_cast<uint64_t>(samples_), static_cast<uint64_t>(classes_), key_}) {
    fingerprint.Add(value);
  }
  return fingerprint.value();
}

std::string SyntheticDataset::NameOf(int64_t sample) const { return absl::StrCat("sample ", sample, " of ", path()); }

}  // namespace arcshard::worker
