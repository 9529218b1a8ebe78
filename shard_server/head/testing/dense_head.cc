#include "shard_server/head/testing/dense_head.h"

#include <algorithm>
#include <cmath>

#include "common/base/philox.h"
#include "common/protocol/logit_shift.h"

namespace arcshard::head {

DenseHead::DenseHead(const HeadOptions& options, const std::vector<float>& weights)
    : options_(options),
      shift_(LogitShift(options.scale, options.num_classes)),
      active_(options.num_classes, true),
      weights_(weights.begin(), weights.end()),
      counts_(options.num_classes) {
  for (auto& moment : moments_) moment.resize(weights.size());
}

void DenseHead::Begin(const std::vector<int64_t>& labels) {
  ++step_;
  for (int64_t j = 0; j < options_.num_classes; ++j) {
    const double word = Philox(options_.seed, step_, static_cast<uint64_t>(j))[0];
    active_[j] =
        word < std::floor(options_.sample_rate * 0x1p32) || std::find(labels.begin(), labels.end(), j) != labels.end();
  }
}

DenseHead::Term DenseHead::TermOf(const std::vector<double>& w, const std::vector<double>& e) const {
  double cosine = 0;
  for (size_t d = 0; d < w.size(); ++d) cosine += w[d] * e[d];
  cosine = std::clamp(cosine, -1.0, 1.0);
  if (cosine > options_.filter) return {std::exp(-shift_), 0.0};
  const double p = std::exp(options_.scale * cosine - shift_);
  return {p, p};
}

SummedOutputs DenseHead::Forward(const LabelledBatch& batch) const {
  const int64_t dim = options_.dim;
  const size_t samples = batch.labels.size();
  SummedOutputs sums = {std::vector<double>(samples), std::vector<double>(samples * dim),
                        std::vector<float>(samples * dim)};
  for (int64_t j = 0; j < options_.num_classes; ++j) {
    if (!active_[j]) continue;
    const std::vector<double> w = Unit(&weights_[j * dim], dim);
    for (size_t i = 0; i < samples; ++i) {
      const Term term = TermOf(w, Unit(&batch.embedding[i * dim], dim));
      const bool own = batch.labels[i] == j;
      for (int64_t d = 0; d < dim; ++d) {
        if (own) sums.own_centers[i * dim + d] = static_cast<float>(w[d]);
        if (!own) sums.u[i * dim + d] += term.q * w[d];
      }
      if (!own) sums.z[i] += term.p;
    }
  }
  return sums;
}

std::vector<double> DenseHead::GradientOf(int64_t j, const LabelledBatch& batch, const std::vector<float>& r,
                                          const std::vector<float>& t) const {
  const int64_t dim = options_.dim;
  const std::vector<double> w = Unit(&weights_[j * dim], dim);
  std::vector<double> g(dim);
  for (size_t i = 0; i < batch.labels.size(); ++i) {
    const std::vector<double> e = Unit(&batch.embedding[i * dim], dim);
    const double factor = batch.labels[i] == j ? t[i] : TermOf(w, e).q * r[i];
    for (int64_t d = 0; d < dim; ++d) g[d] += factor * e[d];
  }
  double radial = 0, norm = 0;
  for (int64_t d = 0; d < dim; ++d) radial += g[d] * w[d], norm += std::pow(weights_[j * dim + d], 2);
  norm = std::sqrt(norm);
  for (int64_t d = 0; d < dim; ++d) g[d] = norm < 1e-12 ? 0.0 : (g[d] - radial * w[d]) / norm;
  return g;
}

void DenseHead::Apply(const SgdOptions& sgd, int64_t j, const std::vector<double>& gradient, double lr) {
  for (int64_t d = 0; d < options_.dim; ++d) {
    double& w = weights_[j * options_.dim + d];
    double& v = moments_[0][j * options_.dim + d];
    v = sgd.momentum * v + gradient[d] + sgd.weight_decay * w;
    w -= lr * v;
  }
}

void DenseHead::Apply(const AdamWOptions& adamw, int64_t j, const std::vector<double>& gradient, double lr) {
  const int n = ++counts_[j];
  for (int64_t d = 0; d < options_.dim; ++d) {
    double& w = weights_[j * options_.dim + d];
    double& m = moments_[0][j * options_.dim + d];
    double& v = moments_[1][j * options_.dim + d];
    m = adamw.beta1 * m + (1 - adamw.beta1) * gradient[d];
    v = adamw.beta2 * v + (1 - adamw.beta2) * gradient[d] * gradient[d];
    w -= lr * adamw.weight_decay * w;
    w -= lr * m / (1 - std::pow(adamw.beta1, n)) / (std::sqrt(v / (1 - std::pow(adamw.beta2, n))) + adamw.epsilon);
  }
}

void DenseHead::Update(const LabelledBatch& batch, const std::vector<float>& r, const std::vector<float>& t, float lr) {
  for (int64_t j = 0; j < options_.num_classes; ++j) {
    if (!active_[j]) continue;
    const std::vector<double> gradient = GradientOf(j, batch, r, t);
    std::visit([&](const auto& optimizer) { Apply(optimizer, j, gradient, lr); }, options_.optimizer);
  }
}

}  // namespace arcshard::head
