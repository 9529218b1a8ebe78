#include "worker/verification/templates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "worker/verification/operating_points.h"

namespace arcshard::worker {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

double Norm(absl::Span<const double> x) {
  double squared = 0;
  for (const double value : x) squared += value * value;
  return std::sqrt(squared);
}

// Adds weight·x, or of x scaled to norm 1, to `sum`.
void AddEmbedding(absl::Span<const float> x, double weight, bool unit, absl::Span<double> sum) {
  if (unit) {
    double squared = 0;
    for (const float value : x) squared += static_cast<double>(value) * value;
    weight = squared > 0 ? weight / std::sqrt(squared) : 0;
  }
  for (size_t d = 0; d < x.size(); ++d) sum[d] += weight * x[d];
}

// Sums of several independent terms, which a compiler can vectorise without reordering any of them.
double Dot(const float* a, const float* b, int64_t dim) {
  constexpr int64_t kLanes = 8;
  std::array<double, kLanes> sums = {};
  int64_t d = 0;
  for (; d + kLanes <= dim; d += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += static_cast<double>(a[d + lane]) * b[d + lane];
  }
  for (; d < dim; ++d) sums[0] += static_cast<double>(a[d]) * b[d];
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

bool IsEmpty(absl::Span<const float> features, int64_t dim, int32_t id) {
  const absl::Span<const float> row = features.subspan(id * dim, dim);
  return std::all_of(row.begin(), row.end(), [](float value) { return value == 0; });
}

}  // namespace

std::vector<float> TemplateFeatures(absl::Span<const float> embeddings, int64_t dim, std::vector<TemplateFace> faces,
                                    int64_t templates, bool unit) {
  std::sort(faces.begin(), faces.end(), [](const TemplateFace& a, const TemplateFace& b) {
    return std::tie(a.template_id, a.medium, a.row) < std::tie(b.template_id, b.medium, b.row);
  });
  std::vector<float> features(templates * dim);
  std::vector<double> medium(dim), sum(dim);
  for (size_t i = 0; i < faces.size();) {
    const int32_t id = faces[i].template_id;
    std::fill(sum.begin(), sum.end(), 0.0);
    while (i < faces.size() && faces[i].template_id == id) {
      const size_t first = i;
      std::fill(medium.begin(), medium.end(), 0.0);
      for (; i < faces.size() && faces[i].template_id == id && faces[i].medium == faces[first].medium; ++i) {
        AddEmbedding(embeddings.subspan(faces[i].row * dim, dim), faces[i].weight, unit, absl::MakeSpan(medium));
      }
      for (int64_t d = 0; d < dim; ++d) sum[d] += medium[d] / static_cast<double>(i - first);
    }
    const double norm = Norm(sum);
    for (int64_t d = 0; d < dim && norm > 0; ++d) features[id * dim + d] = static_cast<float>(sum[d] / norm);
  }
  return features;
}

std::vector<double> PairCosines(absl::Span<const float> features, int64_t dim, absl::Span<const TemplatePair> pairs) {
  std::vector<double> cosines;
  cosines.reserve(pairs.size());
  for (const TemplatePair& pair : pairs) {
    const bool empty = IsEmpty(features, dim, pair.a) || IsEmpty(features, dim, pair.b);
    cosines.push_back(empty ? kNan : Dot(&features[pair.a * dim], &features[pair.b * dim], dim));
  }
  return cosines;
}

IdentificationResult Identify(absl::Span<const float> features, int64_t dim,
                              absl::Span<const TemplateOfSubject> gallery, absl::Span<const TemplateOfSubject> probes,
                              absl::Span<const int> ranks, absl::Span<const double> fpirs) {
  std::set<int32_t> subjects;
  for (const TemplateOfSubject& known : gallery) subjects.insert(known.subject);
  std::vector<uint64_t> within(ranks.size());
  std::vector<double> distances;  // of the own subject, and of the nearest other one
  std::vector<bool> own;
  std::vector<double> scores(gallery.size());
  IdentificationResult result{.probes = probes.size(), .mated = 0, .rank_rates = {}, .accept_rates = {}};
  for (const TemplateOfSubject& probe : probes) {
    const bool empty = IsEmpty(features, dim, probe.template_id);
    double best_own = -std::numeric_limits<double>::infinity(), best_other = best_own;
    for (size_t i = 0; i < gallery.size(); ++i) {
      scores[i] = Dot(&features[probe.template_id * dim], &features[gallery[i].template_id * dim], dim);
      double& best = gallery[i].subject == probe.subject ? best_own : best_other;
      best = std::max(best, scores[i]);
    }
    if (!empty) {
      distances.push_back(-best_other);
      own.push_back(false);
    }
    if (!subjects.contains(probe.subject)) continue;
    ++result.mated;
    distances.push_back(empty ? kNan : -best_own);
    own.push_back(true);
    int64_t nearer = 0;
    for (size_t i = 0; i < gallery.size(); ++i) {
      nearer += gallery[i].subject != probe.subject && scores[i] >= best_own ? 1 : 0;
    }
    for (size_t r = 0; r < ranks.size(); ++r) within[r] += !empty && nearer < ranks[r] ? 1 : 0;
  }
  for (const uint64_t count : within) {
    result.rank_rates.push_back(result.mated == 0 ? 0 : static_cast<double>(count) / static_cast<double>(result.mated));
  }
  result.accept_rates = AcceptRates(distances, own, fpirs);
  return result;
}

}  // namespace arcshard::worker
