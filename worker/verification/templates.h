#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/protocol/verification_report.h"

// Verification and identification of templates, as the IJB protocols have them: a template is a set of images and video
// frames that show one subject, and is compared as a whole.
namespace arcshard::worker {

// An image of a template. Those of one template that have the same medium, such as frames of a video, count as one.
struct TemplateFace {
  int64_t row = 0;          // of its embedding
  int32_t template_id = 0;  // in [0, number of templates)
  int32_t medium = 0;
  float weight = 1.0f;  // factor of its embedding, such as a detector's score
};

// The features of templates, T×D: the sum over a template's media of the mean embedding of a medium's faces, scaled to
// norm 1; 0 for a template without a face. embeddings: rows of D floats. unit: scale each embedding to norm 1 before
// its weight.
std::vector<float> TemplateFeatures(absl::Span<const float> embeddings, int64_t dim, std::vector<TemplateFace> faces,
                                    int64_t templates, bool unit);

struct TemplatePair {
  int32_t a = 0, b = 0;  // templates
  bool same = false;
};

// The cosine of each pair; NaN where a template has no face.
std::vector<double> PairCosines(absl::Span<const float> features, int64_t dim, absl::Span<const TemplatePair> pairs);

// A template of the gallery or a probe, and its subject.
struct TemplateOfSubject {
  int32_t template_id = 0;
  int32_t subject = 0;
};

struct IdentificationResult {
  uint64_t probes = 0;
  uint64_t mated = 0;              // probes whose subject is in the gallery
  std::vector<double> rank_rates;  // the share of the mated probes that have their subject within each rank
  // TAR: the share of the mated probes whose own subject scores above the threshold that lets at most FAR of all
  // probes score above it with another subject (TPIR at FPIR).
  std::vector<AcceptRate> accept_rates;
};

// Searches each probe in the gallery. A subject's score is that of the nearest of its templates. Another template that
// scores as high as the own subject counts as nearer. fpirs: rates of false identifications.
IdentificationResult Identify(absl::Span<const float> features, int64_t dim,
                              absl::Span<const TemplateOfSubject> gallery, absl::Span<const TemplateOfSubject> probes,
                              absl::Span<const int> ranks, absl::Span<const double> fpirs);

}  // namespace arcshard::worker
