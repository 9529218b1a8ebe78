#include "tests/testing/training_cluster.h"

#include <optional>
#include <thread>
#include <utility>

#include "ATen/Parallel.h"
#include "ATen/ops/cat.h"
#include "ATen/ops/from_blob.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/io/file_system.h"
#include "common/metrics/metric_list.h"
#include "shard_server/head/testing/test_device.h"
#include "shard_server/head_from_config.h"
#include "worker/backbone/device_move.h"
#include "worker/data/open_dataset.h"
#include "worker/training/all_reduce/all_reduce.h"
#include "worker/training/all_reduce/rendezvous.h"
#include "worker/training/checkpoint_writer.h"
#include "worker/training/run_backbone.h"
#include "worker/training/share_state.h"
#include "worker/training/trainer_setup.h"
#include "worker/training/worker_state.h"

namespace arcshard {
namespace {

using worker::AllReduce;
using worker::AllReduceOptions;
using worker::Dataset;
using worker::DatasetOptionsOf;
using worker::NamedTensor;
using worker::OpenDataset;
using worker::Rendezvous;
using worker::StepVote;
using worker::Trainer;

struct TestWorker {
  std::unique_ptr<client::HeadClient> head = nullptr;
  std::unique_ptr<AllReduce> all_reduce = nullptr;
  std::unique_ptr<Trainer> trainer = nullptr;
};

class RealTrainingCluster final : public TrainingCluster {
 public:
  explicit RealTrainingCluster(const TrainingOptions& options) : options_(options), phases_(&metrics_) {}

  absl::Status StartAll() {
    at::set_num_threads(1);  // each worker is a thread already
    const RunConfig& config = options_.config;
    ASSIGN_OR_RETURN(dataset_, OpenDataset(DatasetOptionsOf(config)));
    ASSIGN_OR_RETURN(plan_, SamplePlanOf(config, static_cast<uint64_t>(dataset_->samples())));
    StatePoint base;
    if (!options_.checkpoint.empty()) {
      ASSIGN_OR_RETURN(checkpoint_, OpenCheckpoint::Open(RealFileSystem(), options_.checkpoint));
      base = checkpoint_->manifest().state();
      decided_ = base.step;
    }
    ShardClusterOptions shards;
    shards.ranges = UnevenRanges(dataset_->classes(), options_.shards);
    shards.head = shard::HeadOptionsOf(config, dataset_->classes(), {0, dataset_->classes()}, DeviceName{});
    shards.head.exp_budget_bytes = int64_t{1} << 20;
    shards.workers = static_cast<uint32_t>(options_.workers);
    shards.batch_size = MostSamplesOfAStep(config);
    shards.deterministic = config.run.deterministic;
    shards.wire = WireTypeOf(config);
    shards.view = {options_.incarnation, 1};
    shards.base = base;
    shards.checkpoint = options_.checkpoint;
    shards.run_folder = config.run.folder;
    ASSIGN_OR_RETURN(shards_, ShardCluster::Start(shards, options_.transport));
    workers_.resize(options_.workers);
    ASSIGN_OR_RETURN(rendezvous_, Rendezvous::Listen("127.0.0.1"));
    for (size_t w = 0; w < workers_.size(); ++w) RETURN_IF_ERROR(StartWorker(w));
    return ConnectAndInstall();
  }

  absl::Status EnterNextView(std::optional<size_t> replaced) override {
    for (TestWorker& worker : workers_) worker = {.trainer = std::move(worker.trainer)};  // closes its connections
    if (replaced.has_value()) RETURN_IF_ERROR(StartWorker(*replaced));
    View next = shards_->view().view;
    ++next.counter;
    RETURN_IF_ERROR(shards_->Announce(next));
    return ConnectAndInstall(replaced);
  }

  absl::StatusOr<StepVote> Compute(uint64_t step) override {
    std::vector<StepVote> votes(workers_.size());
    RETURN_IF_ERROR(OnAllWorkers([&](size_t w) -> absl::Status {
      ASSIGN_OR_RETURN(votes[w], workers_[w].trainer->Compute(plan_->PlanOf(step)));
      return absl::OkStatus();
    }));
    StepVote all = votes[0];
    for (const StepVote& vote : votes) {
      if (vote.finite != all.finite) return absl::InternalError("the workers' votes differ");
      if (!vote.reason.empty()) all.reason = vote.reason;
    }
    if (!shards_->AwaitVote(step).finite) all.finite = false;
    return all;
  }

  absl::Status Decide(uint64_t step, Outcome outcome, double lr, bool checkpoint) override {
    const Decision decision = DecisionOf(step, outcome, lr, checkpoint);
    decided_ = step;
    RETURN_IF_ERROR(shards_->Decide(decision));
    for (TestWorker& worker : workers_) RETURN_IF_ERROR(worker.trainer->Apply(decision));
    shards_->AwaitApplied(step);
    if (!checkpoint) return absl::OkStatus();
    asked_ = {step, decision.view.incarnation, decision.view.counter};
    asked_lineage_ = shards_->state().lineage;
    writer_.Begin({decision.view, step, CheckpointFolder(options_.config.run.folder, asked_)},
                  workers_[0].trainer->state());
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> AwaitCheckpoint() override {
    ASSIGN_OR_RETURN(std::vector<CheckpointReport> reports, shards_->AwaitCheckpoint(asked_.step));
    writer_.Await();
    reports.push_back(written_);
    Manifest manifest;
    manifest.step = asked_.step;
    manifest.lineage = asked_lineage_;
    manifest.incarnation = asked_.incarnation;
    manifest.view_counter = asked_.counter;
    manifest.num_classes = dataset_->classes();
    manifest.embedding_size = options_.config.backbone.embedding_size;
    for (const CheckpointReport& report : reports) {
      RETURN_IF_ERROR(report.status);
      manifest.files.insert(manifest.files.end(), report.files.begin(), report.files.end());
    }
    const std::string folder = CheckpointFolder(options_.config.run.folder, asked_);
    RETURN_IF_ERROR(WriteManifest(RealFileSystem(), folder, manifest));
    return folder;
  }

  uint64_t decided() const override { return decided_; }
  at::Tensor Model(size_t worker) override {
    std::vector<at::Tensor> rows;
    for (const NamedTensor& each : workers_[worker].trainer->backbone()->state_dict()) {
      if (each.tensor.is_floating_point()) rows.push_back(each.tensor.detach().cpu().reshape({-1}));
    }
    return at::cat(rows);
  }
  std::vector<NamedTensor> State(size_t worker) override {
    const worker::WorkerState state = workers_[worker].trainer->state();
    std::vector<NamedTensor> tensors = state.backbone->state_dict();
    for (NamedTensor& tensor : OptimizerTensors(state)) tensors.push_back(std::move(tensor));
    for (NamedTensor& tensor : tensors) tensor.tensor = tensor.tensor.detach().cpu().clone();
    return tensors;
  }
  ShardCluster& shards() override { return *shards_; }
  at::Tensor ClassCenters() override {
    std::vector<float> weights = shards_->Weights();
    return at::from_blob(weights.data(), {dataset_->classes(), options_.config.backbone.embedding_size}, at::kFloat)
        .clone();
  }

 private:
  Next NextStep(uint64_t step, bool checkpoint) const { return {NextAction::kStep, plan_->PlanOf(step), checkpoint}; }
  Decision DecisionOf(uint64_t step, Outcome outcome, double lr, bool checkpoint) const {
    return {shards_->view().view, step, outcome, lr, NextStep(step + 1, checkpoint)};
  }

  // Runs `work` for each worker on a thread of its own. Returns the first error.
  absl::Status OnAllWorkers(const std::function<absl::Status(size_t)>& work) {
    std::vector<absl::Status> results(workers_.size());
    std::vector<std::thread> threads;
    for (size_t w = 0; w < workers_.size(); ++w) threads.emplace_back([&, w] { results[w] = work(w); });
    for (std::thread& thread : threads) thread.join();
    for (const absl::Status& result : results) RETURN_IF_ERROR(result);
    return absl::OkStatus();
  }

  absl::Status StartWorker(size_t w) {
    const RunConfig& config = options_.config;
    TestWorker& worker = workers_[w];
    std::unique_ptr<worker::Backbone> backbone;
    if (options_.backbone) {
      ASSIGN_OR_RETURN(backbone, options_.backbone(worker::BackboneOptionsOf(config, dataset_->classes()), w));
    } else {
      ASSIGN_OR_RETURN(backbone, worker::MakeBackbone(config, dataset_->classes()));
    }
    if (head::TestDevice() == head::Device::kCuda) worker::MoveTo(at::kCUDA, backbone.get());
    worker::TrainerSetup setup{.config = &config,
                               .dataset = dataset_.get(),
                               .num_classes = dataset_->classes(),
                               .clock = &clock_,
                               .phases = &phases_};
    if (config.data.log_samples) {
      setup.sample_log = absl::StrCat(config.run.folder, "/samples-worker-", w, ".jsonl");
    }
    ASSIGN_OR_RETURN(worker.trainer, worker::MakeTrainer(setup, std::move(backbone)));
    if (checkpoint_.has_value()) RETURN_IF_ERROR(RestoreWorker(*checkpoint_, worker.trainer->state()));
    return absl::OkStatus();
  }

  // Connects all workers for the view that the shards have joined. `copies`: this worker has to copy the state.
  absl::Status ConnectAndInstall(std::optional<size_t> copies = std::nullopt) {
    const int sender = copies == size_t{0} ? 1 : 0;
    const absl::Status connected = OnAllWorkers([&](size_t w) -> absl::Status {
      TestWorker& worker = workers_[w];
      ASSIGN_OR_RETURN(worker.head, shards_->Connect(static_cast<uint32_t>(w)));
      AllReduceOptions group;
      group.view = shards_->view().view;
      group.workers.clear();
      for (const WorkerMember& member : shards_->view().workers) group.workers.push_back(member.id);
      group.rank = static_cast<int>(w);
      group.rendezvous = rendezvous_->address();
      group.interface = "127.0.0.1";
      worker.all_reduce = std::make_unique<AllReduce>(group);
      RETURN_IF_ERROR(worker.all_reduce->Connect());
      if (copies.has_value()) {
        RETURN_IF_ERROR(ShareState(worker.all_reduce.get(), sender, copies == w, worker.trainer->state()));
      }
      worker.trainer->Enter({shards_->view(), w, worker.head.get(), worker.all_reduce.get()});
      return absl::OkStatus();
    });
    RETURN_IF_ERROR(connected);
    return shards_->Install(NextStep(decided_ + 1, /*checkpoint=*/false));
  }

  const TrainingOptions options_;
  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
  worker::WorkerPhases phases_;
  const SystemClock clock_;
  std::unique_ptr<Dataset> dataset_;
  std::optional<SamplePlan> plan_;
  std::unique_ptr<ShardCluster> shards_;
  std::unique_ptr<Rendezvous> rendezvous_;
  std::vector<TestWorker> workers_;  // destroyed before the shards, to which they have links
  std::optional<OpenCheckpoint> checkpoint_;
  uint64_t decided_ = 0;
  CheckpointId asked_;  // the checkpoint that was asked for last
  uint64_t asked_lineage_ = 0;
  CheckpointReport written_;  // about the worker's part of it
  worker::CheckpointWriter writer_{{.files = RealFileSystem(),
                                    .clock = &clock_,
                                    .metrics = &metrics_,
                                    .report = [this](const CheckpointReport& report) { written_ = report; }}};
};

}  // namespace

absl::StatusOr<std::unique_ptr<TrainingCluster>> TrainingCluster::Start(const TrainingOptions& options) {
  auto cluster = std::make_unique<RealTrainingCluster>(options);
  RETURN_IF_ERROR(cluster->StartAll());
  return cluster;
}

absl::Status TrainingCluster::Train(uint64_t last, double lr) {
  while (decided() < last) {
    const uint64_t step = decided() + 1;
    ASSIGN_OR_RETURN(const worker::StepVote vote, Compute(step));
    if (!vote.finite) return absl::InternalError(absl::StrCat("step ", step, " is not finite: ", vote.reason));
    RETURN_IF_ERROR(Decide(step, Outcome::kCommit, lr));
  }
  return absl::OkStatus();
}

}  // namespace arcshard
