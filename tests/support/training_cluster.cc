#include "tests/support/training_cluster.h"

#include <thread>
#include <utility>

#include "ATen/Parallel.h"
#include "ATen/ops/cat.h"
#include "ATen/ops/from_blob.h"
#include "common/base/status_macros.h"
#include "common/metrics/metric_list.h"
#include "shard_server/head/test_device.h"
#include "shard_server/head_from_config.h"
#include "worker/backbone/device_move.h"
#include "worker/data/open_dataset.h"
#include "worker/training/run_backbone.h"

namespace arcshard {
namespace {

using worker::AllReduce;
using worker::AllReduceOptions;
using worker::Dataset;
using worker::HeadClient;
using worker::Loader;
using worker::LoaderOptionsOf;
using worker::MarginLoss;
using worker::NamedTensor;
using worker::OpenDataset;
using worker::Rendezvous;
using worker::StepVote;
using worker::Trainer;

struct TestWorker {
  std::unique_ptr<HeadClient> head;
  std::unique_ptr<AllReduce> all_reduce;
  std::unique_ptr<Trainer> trainer;
};

class RealTrainingCluster final : public TrainingCluster {
 public:
  explicit RealTrainingCluster(const TrainingOptions& options) : options_(options), phases_(&metrics_) {}

  absl::Status StartAll() {
    at::set_num_threads(1);  // each worker is a thread already
    const RunConfig& config = options_.config;
    ASSIGN_OR_RETURN(dataset_, OpenDataset({.path = config.data.train}));
    ASSIGN_OR_RETURN(plan_, SamplePlan::Create({.samples = static_cast<uint64_t>(dataset_->samples()),
                                                .batch_size = config.data.batch_size,
                                                .micro_batch_size = config.data.micro_batch_size,
                                                .epochs = 1}));
    ShardClusterOptions shards;
    shards.ranges = UnevenRanges(dataset_->classes(), options_.shards);
    shards.head = shard::HeadOptionsOf(config, dataset_->classes(), {0, dataset_->classes()}, DeviceName{});
    shards.head.exp_budget_bytes = int64_t{1} << 20;
    shards.workers = static_cast<uint32_t>(options_.workers);
    shards.batch_size = config.data.batch_size;
    shards.deterministic = config.run.deterministic;
    ASSIGN_OR_RETURN(shards_, ShardCluster::Start(shards, options_.transport));
    workers_.resize(options_.workers);
    ASSIGN_OR_RETURN(rendezvous_, Rendezvous::Listen("127.0.0.1"));
    RETURN_IF_ERROR(OnAllWorkers([this](size_t w) { return StartWorker(w); }));
    return shards_->Decide({shards_->view().view, 0, Outcome::kCommit, 0.0, {NextAction::kStep, plan_->PlanOf(1)}});
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

  absl::Status Decide(uint64_t step, Outcome outcome, double lr) override {
    const Decision decision{shards_->view().view, step, outcome, lr, {NextAction::kStep, plan_->PlanOf(step + 1)}};
    RETURN_IF_ERROR(shards_->Decide(decision));
    for (TestWorker& worker : workers_) RETURN_IF_ERROR(worker.trainer->Apply(decision));
    shards_->AwaitApplied(step);
    return absl::OkStatus();
  }

  at::Tensor Model(size_t worker) override {
    std::vector<at::Tensor> rows;
    for (const NamedTensor& each : workers_[worker].trainer->backbone()->state_dict()) {
      if (each.tensor.is_floating_point()) rows.push_back(each.tensor.detach().cpu().reshape({-1}));
    }
    return at::cat(rows);
  }
  ShardCluster& shards() override { return *shards_; }
  at::Tensor ClassCenters() override {
    std::vector<float> weights = shards_->Weights();
    return at::from_blob(weights.data(), {dataset_->classes(), options_.config.backbone.embedding_size}, at::kFloat)
        .clone();
  }

 private:
  // One thread for each worker; the first error.
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
    Trainer::Parts parts{.clock = &clock_, .phases = &phases_};
    if (options_.backbone) {
      ASSIGN_OR_RETURN(parts.backbone, options_.backbone(worker::BackboneOptionsOf(config, dataset_->classes()), w));
    } else {
      ASSIGN_OR_RETURN(parts.backbone, worker::MakeBackbone(config, dataset_->classes()));
    }
    if (head::TestDevice() == head::Device::kCuda) worker::MoveTo(at::kCUDA, parts.backbone.get());
    ASSIGN_OR_RETURN(parts.loss,
                     MarginLoss::Create(config.loss, config.head.scale, config.run.seed, dataset_->classes()));
    ASSIGN_OR_RETURN(parts.loader, Loader::Create(LoaderOptionsOf(config), dataset_.get()));
    parts.plan = plan_;
    ASSIGN_OR_RETURN(worker.trainer, Trainer::Create(config, std::move(parts)));
    ASSIGN_OR_RETURN(worker.head, shards_->Connect(static_cast<uint32_t>(w)));
    AllReduceOptions group;
    group.view = shards_->view().view;
    group.rank = static_cast<int>(w);
    group.size = static_cast<int>(workers_.size());
    group.rendezvous = rendezvous_->address();
    group.interface = "127.0.0.1";
    ASSIGN_OR_RETURN(worker.all_reduce, AllReduce::Connect(group));
    worker.trainer->Enter({shards_->view(), w, worker.head.get(), worker.all_reduce.get()});
    return absl::OkStatus();
  }

  const TrainingOptions options_;
  MetricRegistry registry_;
  WorkerMetrics metrics_{&registry_};
  worker::PhaseHistograms phases_;
  const SystemClock clock_;
  std::unique_ptr<Dataset> dataset_;
  std::optional<SamplePlan> plan_;
  std::unique_ptr<ShardCluster> shards_;
  std::unique_ptr<Rendezvous> rendezvous_;
  std::vector<TestWorker> workers_;  // their links go before the shards
};

}  // namespace

absl::StatusOr<std::unique_ptr<TrainingCluster>> TrainingCluster::Start(const TrainingOptions& options) {
  auto cluster = std::make_unique<RealTrainingCluster>(options);
  RETURN_IF_ERROR(cluster->StartAll());
  return cluster;
}

absl::Status TrainingCluster::Train(uint64_t steps, double lr) {
  for (uint64_t step = 1; step <= steps; ++step) {
    ASSIGN_OR_RETURN(const worker::StepVote vote, Compute(step));
    if (!vote.finite) return absl::InternalError(absl::StrCat("step ", step, " is not finite: ", vote.reason));
    RETURN_IF_ERROR(Decide(step, Outcome::kCommit, lr));
  }
  return absl::OkStatus();
}

}  // namespace arcshard
