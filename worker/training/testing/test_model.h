#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ops/full_like.h"
#include "ATen/ops/tensor.h"
#include "common/base/philox.h"
#include "gtest/gtest.h"
#include "worker/backbone/flat_parameters.h"
#include "worker/training/worker_state.h"

namespace arcshard::worker {

// For tests of what saves and restores a worker's state: a state as after training, made without training.
class TestModel {
 public:
  struct Options {
    BackboneOptions backbone = {.name = "iresnet18", .width = 2, .image_size = 16, .embedding_size = 4};
    OptimizerOptions optimizer = SgdOptions();
    bool averages = true;  // whether the loss has averages
  };

  // `seed` 0: the state that a run begins with. Otherwise no two tensors, of one seed or of two, are equal.
  TestModel(const Options& options, uint64_t seed) {
    backbone_ = *CreateBackbone(options.backbone);
    values_ = FlattenParameters(backbone_->parameters());
    optimizer_ = Optimizer::Create(values_, options.optimizer);
    if (options.averages) averages_ = at::tensor({20.0f, 100.0f});
    if (seed != 0) Train(seed);
  }

  WorkerState state() { return {backbone_.get(), optimizer_.get(), averages_}; }

  // Copies of all tensors that a checkpoint must hold.
  std::vector<NamedTensor> Copy() {
    std::vector<NamedTensor> all;
    for (const NamedTensor& named : backbone_->state_dict()) all.push_back({named.name, named.tensor.detach().clone()});
    for (const NamedTensor& named : OptimizerTensors(state())) all.push_back({named.name, named.tensor.clone()});
    return all;
  }

  void Train(uint64_t seed) {
    at::Tensor gradient = at::full_like(values_, 0);
    for (int64_t i = 0; i < gradient.numel(); ++i) {
      gradient.mutable_data_ptr<float>()[i] = static_cast<float>(Philox(seed, i, 0)[0]) * 0x1p-32f - 0.5f;
    }
    for (int step = 0; step < 3; ++step) optimizer_->Step(gradient, 0.1);
    auto change = static_cast<int64_t>(seed);
    for (const NamedTensor& named : backbone_->state_dict()) {
      if (!named.tensor.requires_grad()) named.tensor.add_(change += 1);
    }
    if (averages_.defined()) averages_.add_(change);
  }

 private:
  std::unique_ptr<Backbone> backbone_;
  at::Tensor values_;
  std::unique_ptr<Optimizer> optimizer_;
  at::Tensor averages_;
};

inline void ExpectSame(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].name, b[i].name);
    EXPECT_TRUE(a[i].tensor.equal(b[i].tensor)) << a[i].name;
  }
}

// A folder for the running test alone, empty at first.
class TestFolder {
 public:
  TestFolder() {
    const auto* const test = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = ::testing::TempDir() + "/" + test->test_suite_name() + "_" + test->name();
    std::filesystem::remove_all(path_);
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace arcshard::worker
