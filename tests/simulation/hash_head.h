#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/head.h"

namespace arcshard::simulation {

inline uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t z = a * 0x9E3779B97F4A7C15u + b + 0x632BE59BD9B4E019u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}
// A finite value that stands for the hash.
inline float ToFloat(uint64_t hash) {
  return std::bit_cast<float>(0x3F800000u | static_cast<uint32_t>(hash & 0x7FFFFFu));
}
inline uint64_t MixAll(uint64_t hash, absl::Span<const float> values) {
  for (const float value : values) hash = Mix(hash, std::bit_cast<uint32_t>(value));
  return hash;
}

// A head whose class centers are one number, a hash over all updates in order: whoever has the same number has been
// through the same steps with the same inputs.
class HashHead final : public head::Head {
 public:
  explicit HashHead(const head::HeadOptions& options) : options_(options) { SetToFirst(); }

  uint64_t state() const { return state_; }
  void set_state(uint64_t state) { state_ = state; }
  void SetToFirst() { state_ = Mix(17, static_cast<uint64_t>(options_.range.begin)); }
  bool in_a_step() const { return in_a_step_; }

  const head::HeadOptions& options() const override { return options_; }
  absl::Status Begin(uint64_t step, absl::Span<const int64_t>) override {
    if (in_a_step_) return absl::FailedPreconditionError("a step is in hand");
    in_a_step_ = true;
    step_ = step;
    return absl::OkStatus();
  }
  absl::Status Forward(absl::Span<const head::ForwardInput> group,
                       absl::Span<const head::ForwardOutput> outputs) override {
    if (!in_a_step_) return absl::FailedPreconditionError("no step was begun");
    for (size_t m = 0; m < group.size(); ++m) {
      const auto& [embedding, labels] = group[m];
      for (int64_t i = 0; i < embedding.rows; ++i) {
        const absl::Span<const float> row(embedding.row(i), static_cast<size_t>(embedding.cols));
        const uint64_t hash = MixAll(Mix(state_, static_cast<uint64_t>(labels[static_cast<size_t>(i)])), row);
        outputs[m].z[static_cast<size_t>(i)] = ToFloat(hash);
        for (int64_t d = 0; d < embedding.cols; ++d) {
          outputs[m].u.row(i)[d] = ToFloat(Mix(hash, static_cast<uint64_t>(d)));
          if (options_.range.contains(labels[static_cast<size_t>(i)])) {
            outputs[m].own_centers.row(i)[d] = ToFloat(Mix(state_, static_cast<uint64_t>(d)));
          }
        }
      }
    }
    return absl::OkStatus();
  }
  absl::Status FormGradient(absl::Span<const head::Group> groups, absl::FunctionRef<bool()>) override {
    if (!in_a_step_) return absl::FailedPreconditionError("no step was begun");
    gradient_ = HashOf(groups);
    return absl::OkStatus();
  }
  // With a gradient that was formed before, that one counts, as it does for a real head.
  absl::Status Update(absl::Span<const head::Group> groups, float lr) override {
    if (!in_a_step_) return absl::FailedPreconditionError("no step was begun");
    state_ = Mix(Mix(Mix(state_, step_), std::bit_cast<uint32_t>(lr)), gradient_.value_or(HashOf(groups)));
    Discard();
    return absl::OkStatus();
  }
  void Discard() override {
    in_a_step_ = false;
    gradient_.reset();
  }

  absl::Status ReadWeights(ClassRange, head::MatrixView<float>) const override { return Unused(); }
  absl::Status ReadMoment(int, ClassRange, head::MatrixView<float>) const override { return Unused(); }
  absl::Status WriteWeights(ClassRange, head::MatrixView<const float>) override { return Unused(); }
  absl::Status WriteMoment(int, ClassRange, head::MatrixView<const float>) override { return Unused(); }
  absl::Status ReadCounts(ClassRange, absl::Span<uint32_t>) const override { return Unused(); }
  absl::Status WriteCounts(ClassRange, absl::Span<const uint32_t>) override { return Unused(); }
  absl::Status ReadHeld(head::RowPart, ClassRange, absl::Span<std::byte>) const override { return Unused(); }
  void Observe(head::UpdateObserver*) override {}

 private:
  static uint64_t HashOf(absl::Span<const head::Group> groups) {
    uint64_t hash = groups.size();
    for (const head::Group& group : groups) {
      for (const head::UpdateInput& input : group) {
        for (const int64_t label : input.forward.labels) hash = Mix(hash, static_cast<uint64_t>(label));
        const head::MatrixView<const float>& e = input.forward.embedding;
        hash = MixAll(hash, {e.data, static_cast<size_t>(e.size())});
        hash = MixAll(MixAll(hash, input.r), input.t);
      }
    }
    return hash;
  }
  static absl::Status Unused() { return absl::UnimplementedError("the simulation reads no rows"); }

  const head::HeadOptions options_;
  uint64_t state_ = 0;
  uint64_t step_ = 0;
  bool in_a_step_ = false;
  std::optional<uint64_t> gradient_;  // that was formed in this step
};

}  // namespace arcshard::simulation
