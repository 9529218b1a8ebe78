#include "worker/data/tools/pairs.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "worker/data/sample_order.h"
#include "worker/data/tools/pickle_writer.h"

namespace arcshard::worker {
namespace {

// Purposes of the permutations that are drawn; they serve as SampleOrder's epoch.
enum Draw : uint64_t { kClasses = 0, kDifferent = 1, kFirstClass = 2 };

int64_t PairsOf(int64_t images) { return images * (images - 1) / 2; }

// The samples grouped by class, and a numbering of all of their pairs.
class Pool {
 public:
  explicit Pool(absl::Span<const int64_t> labels) {
    for (size_t i = 0; i < labels.size(); ++i) {
      if (labels[i] >= 0) samples_.push_back(static_cast<int64_t>(i));
    }
    std::stable_sort(samples_.begin(), samples_.end(), [&](int64_t a, int64_t b) { return labels[a] < labels[b]; });
    for (size_t i = 0; i < samples_.size(); ++i) {
      if (i == 0 || labels[samples_[i]] != labels[samples_[i - 1]]) begins_.push_back(static_cast<int64_t>(i));
    }
    begins_.push_back(images());
    different_before_.push_back(0);
    for (int64_t c = 0; c < classes(); ++c) {
      same_ += PairsOf(size(c));
      different_before_.push_back(different_before_.back() + size(c) * (images() - begins_[c + 1]));
    }
  }

  int64_t images() const { return static_cast<int64_t>(samples_.size()); }
  int64_t classes() const { return static_cast<int64_t>(begins_.size()) - 1; }  // that have images
  int64_t size(int64_t c) const { return begins_[c + 1] - begins_[c]; }
  int64_t same() const { return same_; }  // the number of pairs of the same class
  int64_t different() const { return different_before_.back(); }

  // Pair `number`, in [0, PairsOf(size(c))), of class c: 0 is (0, 1), 1 is (0, 2), 2 is (1, 2), 3 is (0, 3), ...
  ImagePair SamePair(int64_t c, int64_t number) const {
    assert(number >= 0 && number < PairsOf(size(c)));
    auto high = static_cast<int64_t>((1 + std::sqrt(1 + 8.0 * static_cast<double>(number))) / 2);
    while (PairsOf(high) > number) --high;
    while (PairsOf(high + 1) <= number) ++high;
    const int64_t low = number - PairsOf(high);
    return {samples_[begins_[c] + low], samples_[begins_[c] + high], true};
  }

  // Pair `number`, in [0, different()), of different classes: an image and one of a later class.
  ImagePair DifferentPair(int64_t number) const {
    assert(number >= 0 && number < different());
    const int64_t c =
        std::upper_bound(different_before_.begin(), different_before_.end(), number) - different_before_.begin() - 1;
    number -= different_before_[c];
    const int64_t later = images() - begins_[c + 1];
    return {samples_[begins_[c] + number / later], samples_[begins_[c + 1] + number % later], false};
  }

 private:
  std::vector<int64_t> samples_;           // sorted by class
  std::vector<int64_t> begins_;            // where each class begins in samples_, and then the end
  std::vector<int64_t> different_before_;  // for each class, the pairs whose first image is of an earlier class
  int64_t same_ = 0;
};

std::vector<ImagePair> DrawSame(const Pool& pool, uint64_t seed, int64_t wanted) {
  struct Source {
    int64_t c;
    SampleOrder order;
  };
  std::vector<Source> sources;
  const SampleOrder order(seed, kClasses, pool.classes());
  for (int64_t i = 0; i < pool.classes(); ++i) {
    const int64_t c = order.SampleAt(i);
    if (pool.size(c) < 2) continue;
    sources.push_back({c, SampleOrder(seed, kFirstClass + static_cast<uint64_t>(c), PairsOf(pool.size(c)))});
  }
  std::vector<ImagePair> pairs;
  for (int64_t round = 0; static_cast<int64_t>(pairs.size()) < wanted; ++round) {
    std::erase_if(sources, [&](const Source& source) { return PairsOf(pool.size(source.c)) <= round; });
    for (const Source& source : sources) {
      if (static_cast<int64_t>(pairs.size()) == wanted) break;
      pairs.push_back(pool.SamePair(source.c, source.order.SampleAt(round)));
    }
  }
  return pairs;
}

}  // namespace

absl::StatusOr<std::vector<ImagePair>> DrawPairs(absl::Span<const int64_t> labels, const PairOptions& options) {
  const int64_t unit = 2 * options.folds;
  if (options.folds < 1 || options.pairs < unit || options.pairs % unit != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.pairs, " pairs can't be split into ", options.folds,
                     " folds with as many pairs of the same class as of different ones; use a multiple of ", unit));
  }
  const Pool pool(labels);
  const int64_t half = options.pairs / 2;
  const int64_t possible = std::min(pool.same(), pool.different()) / options.folds * unit;
  if (options.pairs > possible) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.pairs, " pairs are too many: ", pool.images(), " images of ", pool.classes(),
                     " classes make ", pool.same(), " pairs of the same class and ", pool.different(),
                     " of different ones, enough for ", possible, " pairs in ", options.folds, " folds"));
  }
  const std::vector<ImagePair> same = DrawSame(pool, options.seed, half);
  const SampleOrder different(options.seed, kDifferent, pool.different());
  std::vector<ImagePair> pairs;
  const int64_t of_fold = half / options.folds;
  for (int64_t begin = 0; begin < half; begin += of_fold) {
    pairs.insert(pairs.end(), same.begin() + begin, same.begin() + begin + of_fold);
    for (int64_t i = begin; i < begin + of_fold; ++i) pairs.push_back(pool.DifferentPair(different.SampleAt(i)));
  }
  return pairs;
}

absl::Status WritePairs(const EncodedDataset& dataset, absl::Span<const ImagePair> pairs, const std::string& path,
                        const ProgressFunction& progress) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  PickleWriter pickle;
  pickle.BeginList();
  EncodedSample sample;
  int64_t written = 0;
  for (const ImagePair& pair : pairs) {
    if (progress != nullptr) progress("written", written++, static_cast<int64_t>(pairs.size()));
    for (const int64_t i : {pair.first, pair.second}) {
      RETURN_IF_ERROR(dataset.ReadEncoded(i, &sample));
      pickle.Bytes(sample.image());
    }
    RETURN_IF_ERROR(file.Append(pickle.Take()));
  }
  pickle.EndList();
  pickle.BeginList();
  for (const ImagePair& pair : pairs) pickle.Bool(pair.same);
  pickle.EndList();
  pickle.PairOfTheLastTwo();
  pickle.Stop();
  RETURN_IF_ERROR(file.Append(pickle.Take()));
  return file.Commit();
}

}  // namespace arcshard::worker
