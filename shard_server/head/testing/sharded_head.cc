#include "shard_server/head/testing/sharded_head.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "gtest/gtest.h"
#include "shard_server/head/testing/test_device.h"

namespace arcshard::head {
namespace {

void ExpectOk(const absl::Status& status) { ASSERT_TRUE(status.ok()) << status; }

ForwardInput InputOf(const LabelledBatch& batch, int64_t dim) {
  return {{batch.embedding.data(), static_cast<int64_t>(batch.labels.size()), dim}, batch.labels};
}

}  // namespace

std::vector<ClassRange> UnevenRanges(int64_t num_classes, int shards) {
  const auto cut = [&](int k) {
    const double share = std::pow(static_cast<double>(k) / shards, 1.5);
    return k == shards ? num_classes : static_cast<int64_t>(share * static_cast<double>(num_classes));
  };
  std::vector<ClassRange> ranges;
  for (int k = 0; k < shards; ++k) ranges.push_back({cut(k), cut(k + 1)});
  return ranges;
}

ShardedHead::ShardedHead(const HeadOptions& options, const std::vector<ClassRange>& ranges)
    : dim_(options.dim), num_classes_(options.num_classes) {
  for (const ClassRange& range : ranges) {
    HeadOptions own = options;
    own.range = range;
    own.device = TestDevice();
    auto head = Head::Create(own, Head::RequiredBytes(own));
    ExpectOk(head.status());
    heads_.push_back(*std::move(head));
  }
}

ShardedHead::ShardedHead(std::vector<std::unique_ptr<Head>> heads)
    : dim_(heads.front()->options().dim),
      num_classes_(heads.front()->options().num_classes),
      heads_(std::move(heads)) {}

void ShardedHead::Begin(const std::vector<LabelledGroup>& groups) {
  const std::vector<int64_t> labels = Joined(groups).labels;
  ++step_;
  for (const auto& head : heads_) ExpectOk(head->Begin(step_, labels));
}

SummedOutputs ShardedHead::Forward(const std::vector<LabelledGroup>& groups) {
  const int64_t samples = static_cast<int64_t>(Joined(groups).labels.size());
  Begin(groups);
  SummedOutputs sums = {std::vector<double>(samples), std::vector<double>(samples * dim_),
                        std::vector<float>(samples * dim_)};
  for (const auto& head : heads_) {
    int64_t first = 0;
    for (const LabelledGroup& group : groups) {
      std::vector<float> z(samples), u(samples * dim_);
      std::vector<ForwardInput> inputs;
      std::vector<ForwardOutput> outputs;
      const int64_t group_begin = first;
      for (const LabelledBatch& batch : group) {
        const int64_t rows = static_cast<int64_t>(batch.labels.size());
        inputs.push_back(InputOf(batch, dim_));
        outputs.push_back({absl::MakeSpan(z).subspan(first, rows),
                           {u.data() + first * dim_, rows, dim_},
                           {sums.own_centers.data() + first * dim_, rows, dim_}});
        first += rows;
      }
      ExpectOk(head->Forward(inputs, outputs));
      for (int64_t i = group_begin; i < first; ++i) sums.z[i] += z[i];
      for (int64_t i = group_begin * dim_; i < first * dim_; ++i) sums.u[i] += u[i];
    }
  }
  return sums;
}

void ShardedHead::Update(const std::vector<LabelledGroup>& groups, const std::vector<float>& r,
                         const std::vector<float>& t, float lr) {
  std::vector<Group> inputs;
  size_t first = 0;
  for (const LabelledGroup& group : groups) {
    Group& update = inputs.emplace_back();
    for (const LabelledBatch& batch : group) {
      const size_t rows = batch.labels.size();
      update.push_back({InputOf(batch, dim_), absl::MakeConstSpan(r).subspan(first, rows),
                        absl::MakeConstSpan(t).subspan(first, rows)});
      first += rows;
    }
  }
  for (const auto& head : heads_) ExpectOk(head->Update(inputs, lr));
}

void ShardedHead::Discard() {
  for (const auto& head : heads_) head->Discard();
}

std::vector<float> ShardedHead::Weights() const {
  std::vector<float> all(num_classes_ * dim_);
  for (const auto& head : heads_) {
    const ClassRange range = head->options().range;
    ExpectOk(head->ReadWeights(range, {all.data() + range.begin * dim_, range.size(), dim_}));
  }
  return all;
}

std::vector<float> ShardedHead::Moment(int moment) const {
  std::vector<float> all(num_classes_ * dim_);
  for (const auto& head : heads_) {
    const ClassRange range = head->options().range;
    ExpectOk(head->ReadMoment(moment, range, {all.data() + range.begin * dim_, range.size(), dim_}));
  }
  return all;
}

std::vector<uint32_t> ShardedHead::Counts() const {
  std::vector<uint32_t> all(num_classes_);
  for (const auto& head : heads_) {
    const ClassRange range = head->options().range;
    ExpectOk(head->ReadCounts(range, absl::MakeSpan(all).subspan(range.begin, range.size())));
  }
  return all;
}

HeadState ShardedHead::State() const {
  HeadState state = {Weights(), {}, {}};
  const int moments = heads_.front()->options().num_moments();
  for (int i = 0; i < moments; ++i) state.moments.push_back(Moment(i));
  if (moments == 2) state.counts = Counts();
  return state;
}

void ShardedHead::SetWeights(std::vector<float> weights) {
  for (const auto& head : heads_) {
    const ClassRange range = head->options().range;
    ExpectOk(head->WriteWeights(range, MatrixView<float>{weights.data() + range.begin * dim_, range.size(), dim_}));
  }
}

void ShardedHead::SetMoment(int moment, std::vector<float> values) {
  for (const auto& head : heads_) {
    const ClassRange range = head->options().range;
    ExpectOk(
        head->WriteMoment(moment, range, MatrixView<float>{values.data() + range.begin * dim_, range.size(), dim_}));
  }
}

template <typename T>
std::vector<double> Unit(const T* x, int64_t dim) {
  std::vector<double> unit(x, x + dim);
  double sum = 0;
  for (const double value : unit) sum += value * value;
  const double inverse = std::sqrt(sum) < 1e-12 ? 0.0 : 1.0 / std::sqrt(sum);
  for (double& value : unit) value *= inverse;
  return unit;
}
template std::vector<double> Unit(const float*, int64_t);
template std::vector<double> Unit(const double*, int64_t);

void ShardedHead::SetState(const HeadState& state) {
  SetWeights(state.weights);
  for (size_t i = 0; i < state.moments.size(); ++i) SetMoment(static_cast<int>(i), state.moments[i]);
  if (state.counts.empty()) return;
  for (const auto& head : heads_) {
    const ClassRange range = head->options().range;
    ExpectOk(head->WriteCounts(range, absl::MakeConstSpan(state.counts).subspan(range.begin, range.size())));
  }
}

double Largest(const std::vector<double>& x) { return LargestDifference(x, std::vector<double>(x.size())); }

double LargestDifference(const std::vector<double>& x, const std::vector<double>& reference) {
  EXPECT_EQ(x.size(), reference.size());
  double largest = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(x[i] - reference[i]);
    if (!(difference <= largest)) largest = difference;  // a NaN stays
  }
  return largest;
}

double RelativeDifference(const std::vector<double>& x, const std::vector<double>& reference) {
  double scale = 0;
  for (const double value : reference) scale = std::max(scale, std::abs(value));
  const double difference = LargestDifference(x, reference);
  return difference == 0.0 ? 0.0 : difference / scale;
}

std::vector<double> Widened(const std::vector<float>& x) { return {x.begin(), x.end()}; }

LabelledBatch Joined(const std::vector<LabelledGroup>& groups) {
  LabelledBatch all;
  for (const LabelledGroup& group : groups) {
    for (const LabelledBatch& batch : group) {
      all.embedding.insert(all.embedding.end(), batch.embedding.begin(), batch.embedding.end());
      all.labels.insert(all.labels.end(), batch.labels.begin(), batch.labels.end());
    }
  }
  return all;
}

std::vector<float> RandomNormals(uint64_t seed, int64_t count) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& value : values) value = normal(generator);
  return values;
}

LabelledBatch RandomBatch(uint64_t seed, int64_t samples, int64_t dim, int64_t num_classes) {
  std::mt19937_64 generator(seed + 1000);
  std::uniform_int_distribution<int64_t> label(0, num_classes - 1);
  LabelledBatch batch = {RandomNormals(seed, samples * dim), std::vector<int64_t>(samples)};
  for (int64_t& value : batch.labels) value = label(generator);
  return batch;
}

}  // namespace arcshard::head
