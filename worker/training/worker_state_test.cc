#include "worker/training/worker_state.h"

#include <bit>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "ATen/ops/equal.h"
#include "absl/strings/str_cat.h"
#include "c10/core/GradMode.h"
#include "common/base/status_macros.h"
#include "common/base/testing/fake_clock.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "gmock/gmock.h"
#include "worker/training/checkpoint_writer.h"
#include "worker/training/testing/test_model.h"

namespace arcshard::worker {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

class WorkerStateTest : public ::testing::Test {
 protected:
  // Writes a complete checkpoint of `model` alone; an imported one has no optimizer's file.
  void Save(TestModel* model, bool imported = false) {
    FakeClock clock;
    CheckpointReport written;
    CheckpointWriter writer({.files = RealFileSystem(),
                             .clock = &clock,
                             .metrics = &metrics_,
                             .report = [&](const CheckpointReport& report) { written = report; }});
    writer.Begin({{1, 1}, 17, folder_.path()}, model->state());
    writer.Await();
    ASSERT_TRUE(written.status.ok()) << written.status;
    Manifest manifest;
    manifest.step = 17;
    manifest.incarnation = 1;
    manifest.num_classes = 3;
    manifest.embedding_size = 4;
    manifest.files = written.files;
    if (imported) manifest.files.pop_back();
    const absl::Status status = WriteManifest(RealFileSystem(), folder_.path(), manifest);
    ASSERT_TRUE(status.ok()) << status;
  }

  absl::Status Restore(TestModel* model) {
    ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(RealFileSystem(), folder_.path()));
    return RestoreWorker(checkpoint, model->state());
  }
  absl::Status Init(TestModel* model, bool moments) {
    ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(RealFileSystem(), folder_.path()));
    return InitWorker(checkpoint, moments, model->state());
  }

  // Restores a model that does not fit, which must not change it. The message of the error.
  std::string Refusal(TestModel* model) {
    const std::vector<NamedTensor> before = model->Copy();
    const absl::Status status = Restore(model);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    ExpectSame(model->Copy(), before);
    return std::string(status.message());
  }

  TestFolder folder_;
  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
};

// ExpectSame, also of -0 and NaN.
void ExpectSameBits(const std::vector<NamedTensor>& a, const std::vector<NamedTensor>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    const at::Tensor mine = a[i].tensor.contiguous(), others = b[i].tensor.contiguous();
    ASSERT_EQ(mine.nbytes(), others.nbytes());
    EXPECT_EQ(std::memcmp(mine.const_data_ptr(), others.const_data_ptr(), mine.nbytes()), 0) << a[i].name;
  }
}

std::vector<std::string> Names(const std::vector<NamedTensor>& tensors) {
  std::vector<std::string> names;
  for (const NamedTensor& named : tensors) names.push_back(named.name);
  return names;
}

TEST_F(WorkerStateTest, EveryOptimizersStateComesBackBitForBit) {
  for (const OptimizerOptions& optimizer : {OptimizerOptions(SgdOptions()), OptimizerOptions(SgdOptions{.momentum = 0}),
                                            OptimizerOptions(AdamWOptions())}) {
    for (const bool averages : {false, true}) {
      const TestModel::Options options{.optimizer = optimizer, .averages = averages};
      TestModel saved(options, 1), restored(options, 2);
      Save(&saved);
      const absl::Status status = Restore(&restored);
      ASSERT_TRUE(status.ok()) << status;
      ExpectSame(restored.Copy(), saved.Copy());
      // Both continue alike: the optimizer uses what was restored.
      saved.Train(3);
      restored.Train(3);
      ExpectSame(restored.Copy(), saved.Copy());
      std::filesystem::remove_all(folder_.path());
    }
  }
}

// As one worker copies the state of another.
TEST_F(WorkerStateTest, AFlatStateGivesAnotherModelTheSameBits) {
  for (const OptimizerOptions& optimizer : {OptimizerOptions(SgdOptions()), OptimizerOptions(SgdOptions{.momentum = 0}),
                                            OptimizerOptions(AdamWOptions())}) {
    for (const bool averages : {false, true}) {
      const TestModel::Options options{.optimizer = optimizer, .averages = averages};
      TestModel sender(options, 1), taker(options, 2);
      // Values that compare equal to others, or to nothing, and a counter that no float32 holds.
      const at::Tensor weight = sender.state().backbone->parameters().front().tensor;
      {
        c10::NoGradGuard no_grad;
        weight.view(-1)[0] = -0.0f;
        weight.view(-1)[1] = std::bit_cast<float>(0x7fc0deadu);
        for (const NamedTensor& named : sender.state().backbone->state_dict()) {
          if (named.tensor.scalar_type() == at::kLong) named.tensor.fill_((int64_t{1} << 40) + 1);
        }
      }
      const FlatState flat = Flatten(sender.state());
      EXPECT_GT(flat.integers.numel(), 0);
      const absl::Status status = Replace(flat, taker.state());
      ASSERT_TRUE(status.ok()) << status;
      ExpectSameBits(taker.Copy(), sender.Copy());
      weight.view(-1).narrow(0, 0, 2).detach().fill_(0.5);
      taker.state().backbone->parameters().front().tensor.view(-1).narrow(0, 0, 2).detach().fill_(0.5);
      // Both continue alike: the optimizer uses what was copied.
      sender.Train(3);
      taker.Train(3);
      ExpectSameBits(taker.Copy(), sender.Copy());
    }
  }
}

TEST_F(WorkerStateTest, AFlatStateOfAnotherLayoutIsRefused) {
  TestModel sgd({}, 1), adamw({.optimizer = AdamWOptions()}, 2);
  const std::vector<NamedTensor> before = adamw.Copy();
  EXPECT_EQ(Replace(Flatten(sgd.state()), adamw.state()).code(), absl::StatusCode::kInvalidArgument);
  ExpectSame(adamw.Copy(), before);
}

TEST_F(WorkerStateTest, MomentsAreNamedByTheirParameters) {
  TestModel sgd({}, 1);
  EXPECT_THAT(Names(OptimizerTensors(sgd.state())), Contains("momentum.layer1.0.bn1.weight"));
  EXPECT_THAT(Names(OptimizerTensors(sgd.state())), Contains("loss.averages"));
  TestModel adamw({.optimizer = AdamWOptions()}, 1);
  const std::vector<NamedTensor> tensors = OptimizerTensors(adamw.state());
  for (const char* name : {"first_moment.fc.weight", "second_moment.fc.weight", "steps"})
    EXPECT_THAT(Names(tensors), Contains(name));
  EXPECT_EQ(tensors.size(), 2 * adamw.state().backbone->parameters().size() + 2);
  // In the order of the flat buffer: the last parameter's moment ends it.
  const at::Tensor all = adamw.state().optimizer->state()[0].tensor;
  const NamedTensor& last = tensors[adamw.state().backbone->parameters().size() - 1];
  EXPECT_EQ(last.name, absl::StrCat("first_moment.", adamw.state().backbone->parameters().back().name));
  EXPECT_TRUE(
      at::equal(last.tensor.reshape({-1}), all.narrow(0, all.numel() - last.tensor.numel(), last.tensor.numel())));
}

TEST_F(WorkerStateTest, WhatWasFrozenOrWithoutMomentumBeginsAnew) {
  TestModel::Options options;
  options.backbone.freeze = {"layer1"};
  TestModel frozen(options, 1), thawed({}, 0);
  Save(&frozen);
  const absl::Status status = Restore(&thawed);
  ASSERT_TRUE(status.ok()) << status;
  for (const NamedTensor& named : OptimizerTensors(thawed.state())) {
    const bool was_frozen = named.name.find(".layer1.") != std::string::npos;
    EXPECT_EQ(named.tensor.abs().max().item<float>() == 0, was_frozen) << named.name;
  }
  // The other way round: a parameter that is frozen now has no moment to restore.
  std::filesystem::remove_all(folder_.path());
  TestModel saved({}, 1), frozen_now(options, 2);
  Save(&saved);
  EXPECT_TRUE(Restore(&frozen_now).ok());
}

TEST_F(WorkerStateTest, AnotherArchitectureIsRefusedByName) {
  TestModel saved({}, 1);
  Save(&saved);
  TestModel::Options options;
  options.backbone.name = "iresnet34";
  TestModel deeper(options, 2);
  EXPECT_THAT(Refusal(&deeper), HasSubstr("backbone.safetensors: holds the backbone iresnet18; this one is iresnet34"));
  options = {};
  options.backbone.width = 3;
  TestModel wider(options, 2);
  EXPECT_THAT(Refusal(&wider), HasSubstr("backbone.safetensors: tensor \"conv1.weight\" is F32 of shape [2, 3, 3, 3]; "
                                         "this iresnet18 needs F32 of shape [3, 3, 3, 3]"));
}

TEST_F(WorkerStateTest, AnotherOptimizerIsRefusedByName) {
  TestModel saved({}, 1), other({.optimizer = AdamWOptions()}, 2);
  Save(&saved);
  // The backbone comes first and fits.
  const absl::Status status = Restore(&other);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("optimizer.safetensors: holds the state of sgd, but this run's optimizer.kind is adamw"));
}

TEST_F(WorkerStateTest, DamageIsRefusedWithTheFilesName) {
  TestModel saved({}, 1);
  for (const absl::string_view name : {kBackboneFile, kOptimizerFile}) {
    Save(&saved);
    const std::string path = absl::StrCat(folder_.path(), "/", name);
    {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(-1, std::ios::end);
      const char last = static_cast<char>(file.get() ^ 1);
      file.seekp(-1, std::ios::end);
      file.put(last);
    }
    TestModel restored({}, 2);
    const absl::Status status = Restore(&restored);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(std::string(name)));
    std::filesystem::remove_all(folder_.path());
  }
}

TEST_F(WorkerStateTest, ANewRunTakesTheBackboneAloneOrWithItsMoments) {
  TestModel saved({}, 1), first({}, 0), moments({}, 0);
  const std::vector<NamedTensor> at_first = first.Copy();
  Save(&saved);
  ASSERT_TRUE(Init(&first, /*moments=*/false).ok());
  const std::vector<NamedTensor> want = saved.Copy(), got = first.Copy();
  const size_t backbone = saved.state().backbone->state_dict().size();
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(got[i].tensor.equal((i < backbone ? want : at_first)[i].tensor)) << got[i].name;
  }
  ASSERT_TRUE(Init(&moments, /*moments=*/true).ok());
  ExpectSame(moments.Copy(), saved.Copy());
}

TEST_F(WorkerStateTest, ANewRunTakesWhatAnImportedCheckpointHas) {
  TestModel saved({}, 1), first({}, 0);
  Save(&saved, /*imported=*/true);
  EXPECT_TRUE(Init(&first, /*moments=*/true).ok());
  EXPECT_TRUE(at::equal(first.Copy().front().tensor, saved.Copy().front().tensor));
  // A run that resumes needs it.
  const absl::Status status = Restore(&first);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("optimizer.safetensors"));
}

}  // namespace
}  // namespace arcshard::worker
