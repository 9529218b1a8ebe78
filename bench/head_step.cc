#include "bench/head_step.h"

#include <algorithm>
#include <random>

#include "common/base/status_macros.h"
#include "shard_server/head/arithmetic/random_draws.h"

namespace arcshard::bench {

HeadStep::HeadStep(const head::HeadOptions& options, int64_t batch)
    : batch_(batch),
      dim_(options.dim),
      embedding_(batch * options.dim),
      labels_(batch),
      z_(batch),
      r_(batch),
      t_(batch, -options.scale / static_cast<float>(batch)),
      u_(batch * options.dim),
      own_(batch * options.dim) {
  std::mt19937_64 generator(1);
  std::normal_distribution<float> normal;
  for (float& value : embedding_) value = normal(generator);
  const uint64_t classes = static_cast<uint64_t>(options.num_classes);
  for (int64_t& label : labels_) label = static_cast<int64_t>(generator() % classes);
}

absl::StatusOr<std::unique_ptr<HeadStep>> HeadStep::Create(const head::HeadOptions& options, int64_t batch) {
  std::unique_ptr<HeadStep> step(new HeadStep(options, batch));
  ASSIGN_OR_RETURN(step->head_, head::Head::Create(options, head::Head::RequiredBytes(options)));
  return step;
}

absl::Status HeadStep::Run() {
  const head::ForwardInput input = Input();
  const head::ForwardOutput output = {absl::MakeSpan(z_), {u_.data(), batch_, dim_}, {own_.data(), batch_, dim_}};
  RETURN_IF_ERROR(head_->Begin(++step_, labels_));
  RETURN_IF_ERROR(head_->Forward({&input, 1}, {&output, 1}));
  const float scale = head_->options().scale / static_cast<float>(batch_);
  for (size_t i = 0; i < z_.size(); ++i) r_[i] = z_[i] == 0.0f ? 0.0f : scale / z_[i];
  return Update();
}

absl::Status HeadStep::Replay() {
  RETURN_IF_ERROR(head_->Begin(++step_, labels_));
  return Update();
}

absl::Status HeadStep::Update() {
  const head::Group group = {{Input(), r_, t_}};
  return head_->Update({&group, 1}, 0.01f);
}

std::vector<int64_t> HeadStep::ActiveRows() const {
  const head::HeadOptions& options = head_->options();
  const head::SamplingDraw draw(options.seed, options.sample_rate);
  std::vector<int64_t> targets = labels_;
  std::sort(targets.begin(), targets.end());
  std::vector<int64_t> rows;
  for (int64_t j = 0; j < options.num_classes; ++j) {
    if (draw.TakesPart(step_, j) || std::binary_search(targets.begin(), targets.end(), j)) rows.push_back(j);
  }
  return rows;
}

}  // namespace arcshard::bench
