#include "worker/verification/verification.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "worker/verification/operating_points.h"

namespace arcshard::worker {
namespace {

constexpr size_t kThresholds = 400;
constexpr std::array<double, 2> kFalseAcceptRates = {1e-3, 1e-4};

double Threshold(size_t index) { return static_cast<double>(index) * 0.01; }

// Counts how many pairs each threshold classifies correctly. A pair is added by its bin, the first threshold above its
// distance (kThresholds: there is none): that threshold and those after it accept the pair as the same class.
class Counts {
 public:
  void Add(size_t bin, bool same) { (same ? same_ : different_)[bin] += 1; }

  void Add(const Counts& other) {
    for (size_t bin = 0; bin <= kThresholds; ++bin) {
      same_[bin] += other.same_[bin];
      different_[bin] += other.different_[bin];
    }
  }

  std::array<int64_t, kThresholds> Correct() const {
    std::array<int64_t, kThresholds> correct;
    int64_t accepted = 0;  // pairs of the same class that are accepted
    int64_t rejected = 0;  // pairs of two classes that are not
    for (const int64_t count : different_) rejected += count;
    for (size_t threshold = 0; threshold < kThresholds; ++threshold) {
      accepted += same_[threshold];
      rejected -= different_[threshold];
      correct[threshold] = accepted + rejected;
    }
    return correct;
  }

 private:
  std::array<int64_t, kThresholds + 1> same_ = {};
  std::array<int64_t, kThresholds + 1> different_ = {};
};

size_t BinOf(double distance) {
  static const std::array<double, kThresholds> thresholds = [] {
    std::array<double, kThresholds> values;
    for (size_t i = 0; i < kThresholds; ++i) values[i] = Threshold(i);
    return values;
  }();
  return static_cast<size_t>(std::upper_bound(thresholds.begin(), thresholds.end(), distance) - thresholds.begin());
}

double Norm(absl::Span<const float> row) {
  double sum = 0;
  for (const float x : row) sum += static_cast<double>(x) * x;
  return std::sqrt(sum);
}

// Sets `out` to original + flip, normalized.
void UnitSum(absl::Span<const float> original, absl::Span<const float> flip, std::vector<double>& out) {
  double squared = 0;
  for (size_t d = 0; d < out.size(); ++d) {
    out[d] = static_cast<double>(original[d]) + flip[d];
    squared += out[d] * out[d];
  }
  const double norm = std::sqrt(squared);
  if (norm == 0) return;
  for (double& x : out) x /= norm;
}

// The squared distances of the pairs, each 0 to 4.
std::vector<double> Distances(absl::Span<const float> originals, absl::Span<const float> flips, size_t dim) {
  std::vector<double> distances(originals.size() / (2 * dim));
  std::vector<double> first(dim), second(dim);
  for (size_t pair = 0; pair < distances.size(); ++pair) {
    const size_t at = 2 * pair * dim;
    UnitSum(originals.subspan(at, dim), flips.subspan(at, dim), first);
    UnitSum(originals.subspan(at + dim, dim), flips.subspan(at + dim, dim), second);
    for (size_t d = 0; d < dim; ++d) distances[pair] += (first[d] - second[d]) * (first[d] - second[d]);
  }
  return distances;
}

double MeanNorm(absl::Span<const float> originals, absl::Span<const float> flips, size_t dim) {
  double sum = 0;
  for (size_t at = 0; at < originals.size(); at += dim) {
    sum += Norm(originals.subspan(at, dim)) + Norm(flips.subspan(at, dim));
  }
  return sum / static_cast<double>(2 * originals.size() / dim);
}

absl::Status CheckSizes(size_t originals, size_t flips, int64_t dim, size_t pairs, int folds) {
  if (dim < 1) return absl::InvalidArgumentError(absl::StrCat("verification: embeddings of dimension ", dim));
  if (folds < 2) return absl::InvalidArgumentError(absl::StrCat("verification needs at least 2 folds, not ", folds));
  if (originals != 2 * pairs * static_cast<size_t>(dim) || flips != originals) {
    return absl::InvalidArgumentError(absl::StrCat("verification: ", pairs,
                                                   " pairs need twice as many embeddings of dimension ", dim, ", ",
                                                   2 * pairs * static_cast<size_t>(dim), " numbers, but there are ",
                                                   originals, " of images and ", flips, " of mirror images"));
  }
  if (pairs < static_cast<size_t>(folds)) {
    return absl::InvalidArgumentError(
        absl::StrCat("verification over ", folds, " folds needs as many pairs, but there are ", pairs));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<VerificationResult> Verify(absl::Span<const float> originals, absl::Span<const float> flips, int64_t dim,
                                          const std::vector<bool>& same, int folds) {
  RETURN_IF_ERROR(CheckSizes(originals.size(), flips.size(), dim, same.size(), folds));
  const std::vector<double> distances = Distances(originals, flips, static_cast<size_t>(dim));

  const size_t num_folds = static_cast<size_t>(folds);
  std::vector<size_t> fold_begin(num_folds + 1, 0);
  for (size_t fold = 0; fold < num_folds; ++fold) {
    fold_begin[fold + 1] = fold_begin[fold] + same.size() / num_folds + (fold < same.size() % num_folds ? 1 : 0);
  }
  std::vector<Counts> counts(num_folds);
  for (size_t fold = 0; fold < num_folds; ++fold) {
    for (size_t pair = fold_begin[fold]; pair < fold_begin[fold + 1]; ++pair) {
      counts[fold].Add(BinOf(distances[pair]), same[pair]);
    }
  }

  VerificationResult result{.xnorm = MeanNorm(originals, flips, static_cast<size_t>(dim))};
  std::vector<double> accuracies;
  for (size_t fold = 0; fold < num_folds; ++fold) {
    Counts others;
    for (size_t other = 0; other < num_folds; ++other) {
      if (other != fold) others.Add(counts[other]);
    }
    const auto correct = others.Correct();
    const size_t best = static_cast<size_t>(std::max_element(correct.begin(), correct.end()) - correct.begin());
    const double pairs = static_cast<double>(fold_begin[fold + 1] - fold_begin[fold]);
    accuracies.push_back(static_cast<double>(counts[fold].Correct()[best]) / pairs);
    result.accuracy += accuracies.back() / folds;
    result.best_threshold += Threshold(best) / folds;
  }
  double variance = 0;
  for (const double accuracy : accuracies) {
    variance += (accuracy - result.accuracy) * (accuracy - result.accuracy) / folds;
  }
  result.accuracy_std = std::sqrt(variance);

  const OperatingPoint overall = BestThreshold(distances, same);
  result.overall_accuracy = overall.accuracy;
  result.overall_threshold = overall.threshold;
  result.different_pairs = static_cast<uint64_t>(std::count(same.begin(), same.end(), false));
  result.accept_rates = AcceptRates(distances, same, kFalseAcceptRates);
  return result;
}

}  // namespace arcshard::worker
