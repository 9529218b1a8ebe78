#include "cli/check/rerun.h"

#include <thread>
#include <utility>

#include "ATen/Context.h"
#include "ATen/Parallel.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/protocol/sample_plan.h"
#include "shard_server/head_from_config.h"
#include "worker/data/open_dataset.h"
#include "worker/training/run_backbone.h"
#include "worker/training/trainer_setup.h"

namespace arcshard::cli {

using worker::AllReduce;
using worker::AllReduceOptions;

absl::StatusOr<std::unique_ptr<Rerun>> Rerun::Create(const Options& options) {
  std::unique_ptr<Rerun> rerun(new Rerun(options));
  RETURN_IF_ERROR(rerun->Open());
  return rerun;
}

Rerun::Rerun(const Options& options) : options_(options), config_(options.history->config) {
  if (!options.data.empty()) config_.data.train = options.data;
}

Rerun::~Rerun() = default;

absl::Status Rerun::Open() {
  at::globalContext().setDeterministicCuDNN(true);
  at::set_num_threads(config_.cluster.worker_threads);
  ASSIGN_OR_RETURN(dataset_, worker::OpenDataset(worker::DatasetOptionsOf(config_)));
  const Manifest& newest = options_.history->newest;
  const DatasetReport found{.samples = static_cast<uint64_t>(dataset_->samples()),
                            .classes = dataset_->classes(),
                            .fingerprint = dataset_->fingerprint()};
  if (found != newest.data) {
    return absl::FailedPreconditionError(absl::StrCat(
        dataset_->path(), ": is not the run's training set: ", found.samples, " samples of ", found.classes,
        " classes in place of ", newest.data.samples, " of ", newest.data.classes, ", or others"));
  }
  ASSIGN_OR_RETURN(rendezvous_, worker::Rendezvous::Listen("127.0.0.1"));
  ASSIGN_OR_RETURN(std::unique_ptr<worker::Trainer> trainer, MakeTrainer(/*first=*/true));
  const RunHistory& history = *options_.history;
  RETURN_IF_ERROR(history.start_folder.empty()
                      ? worker::InitFromCheckpoint(config_.init_from, trainer->state())
                      : worker::ResumeFromCheckpoint(history.start_folder, history.start, trainer->state()));
  workers_.emplace_back();
  workers_[0].trainer = std::move(trainer);
  return absl::OkStatus();
}

// first: with the first weights of a run; otherwise the state comes from elsewhere.
absl::StatusOr<std::unique_ptr<worker::Trainer>> Rerun::MakeTrainer(bool first) {
  RunConfig config = config_;
  if (!first || !options_.history->start_folder.empty()) config.backbone.init.clear();
  const int64_t num_classes = options_.history->newest.num_classes;
  ASSIGN_OR_RETURN(std::unique_ptr<worker::Backbone> backbone, worker::MakeBackbone(config, num_classes));
  return worker::MakeTrainer({.config = &config_,
                              .dataset = dataset_.get(),
                              .num_classes = num_classes,
                              .clock = options_.clock,
                              .phases = &phases_},
                             std::move(backbone));
}

absl::StatusOr<std::string> Rerun::Step(const shard::RecordedStep& step, const head::Head& whole) {
  const shard::ReplayRecord& record = *step.record;
  if (record.view != view_.view) RETURN_IF_ERROR(Enter(step, whole));
  comparison_.Begin(step.record);
  for (const auto& shard : shards_) RETURN_IF_ERROR(shard->Begin(record.view, record.plan));
  const absl::Status computed = Compute(record.plan);
  // Shards refuse what does not fit the plan: then the difference says more than the error.
  if (std::string difference = comparison_.difference(); !difference.empty()) return difference;
  RETURN_IF_ERROR(Annotate(computed, absl::StrCat("step ", record.plan.step)));
  const Decision decision{.view = record.view,
                          .step = record.plan.step,
                          .outcome = *record.outcome,
                          .lr = record.lr,
                          .next = {.action = NextAction::kEvaluate, .plan = {}},
                          .lineage = record.after.lineage};
  for (const auto& shard : shards_) RETURN_IF_ERROR(shard->Decide(decision));
  for (const Worker& worker : workers_) RETURN_IF_ERROR(worker.trainer->Apply(decision));
  return "";
}

absl::Status Rerun::Enter(const shard::RecordedStep& step, const head::Head& whole) {
  for (Worker& worker : workers_) worker = {.trainer = std::move(worker.trainer)};  // ends the connections
  shards_.clear();
  view_ = {};
  view_.view = step.record->view;
  view_.num_classes = step.range_ends.back();
  view_.state = view_.base = step.before;
  view_.checkpoint = "the head with all classes";
  int64_t begin = 0;
  for (const int64_t end : step.range_ends) {
    view_.shards.push_back({.id = static_cast<uint32_t>(view_.shards.size()), .address = "", .range = {begin, end}});
    begin = end;
  }
  for (const uint32_t id : step.record->workers) view_.workers.push_back({.id = id, .rendezvous = ""});
  RETURN_IF_ERROR(StartShards(whole));
  RETURN_IF_ERROR(StartWorkers());
  RETURN_IF_ERROR(OnAllWorkers([this](size_t position) { return Connect(position); }));
  for (size_t i = 0; i < workers_.size(); ++i) {
    workers_[i].trainer->Enter({view_, i, workers_[i].head.get(), workers_[i].all_reduce.get()});
  }
  return absl::OkStatus();
}

absl::Status Rerun::StartShards(const head::Head& whole) {
  for (const ShardMember& member : view_.shards) {
    RerunShard::Options options;
    options.head = shard::HeadOptionsOf(config_, view_.num_classes, member.range, DeviceName{});
    options.state.id = member.id;
    options.state.dim = config_.backbone.embedding_size;
    options.state.batch_size = MostSamplesOfAStep(config_);
    options.state.max_in_flight = config_.cluster.max_in_flight;
    options.state.deterministic = true;
    options.state.clock = options_.clock;
    options.wire = WireTypeOf(config_);
    options.whole = &whole;
    ASSIGN_OR_RETURN(std::unique_ptr<RerunShard> shard, RerunShard::Create(options));
    RETURN_IF_ERROR(shard->Join(view_));
    shards_.push_back(std::move(shard));
  }
  return absl::OkStatus();
}

// As many as the view has: all have the same state.
absl::Status Rerun::StartWorkers() {
  if (workers_.size() > view_.workers.size())
    workers_.erase(workers_.begin() + std::ssize(view_.workers), workers_.end());
  while (workers_.size() < view_.workers.size()) {
    Worker another;
    ASSIGN_OR_RETURN(another.trainer, MakeTrainer(/*first=*/false));
    RETURN_IF_ERROR(worker::Replace(worker::Flatten(state()), another.trainer->state()));
    workers_.push_back(std::move(another));
  }
  return absl::OkStatus();
}

absl::Status Rerun::Connect(size_t position) {
  Worker& worker = workers_[position];
  worker.head = std::make_unique<client::HeadClient>(config_.backbone.embedding_size, options_.clock);
  for (size_t i = 0; i < shards_.size(); ++i) {
    std::unique_ptr<client::ShardLink> link = shards_[i]->Link(view_.workers[position].id, i, worker.head.get());
    // Every shard gets the same.
    if (i == 0) link = std::make_unique<ComparedLink>(std::move(link), &comparison_);
    worker.head->AddLink(static_cast<uint32_t>(i), std::move(link));
  }
  AllReduceOptions group;
  group.view = view_.view;
  group.workers.clear();
  for (const WorkerMember& member : view_.workers) group.workers.push_back(member.id);
  group.rank = static_cast<int>(position);
  group.rendezvous = rendezvous_->address();
  group.interface = "127.0.0.1";
  group.connect_timeout = config_.cluster.connect_timeout;
  worker.all_reduce = std::make_unique<AllReduce>(std::move(group));
  return worker.all_reduce->Connect();
}

absl::Status Rerun::Compute(const StepPlan& plan) {
  return OnAllWorkers([&](size_t i) { return workers_[i].trainer->Compute(plan).status(); });
}

absl::Status Rerun::OnAllWorkers(const std::function<absl::Status(size_t)>& work) {
  Mutex mutex;
  absl::Status first;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < workers_.size(); ++i) {
    threads.emplace_back([&, i] {
      const absl::Status status = work(i);
      if (status.ok()) return;
      MutexLock lock(&mutex);
      if (!first.ok()) return;
      first = status;
      for (const Worker& other : workers_) {
        if (other.head != nullptr) other.head->Abort(status);
        if (other.all_reduce != nullptr) other.all_reduce->Abort(status);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return first;
}

}  // namespace arcshard::cli
