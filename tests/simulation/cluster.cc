#include "tests/simulation/cluster.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace arcshard::simulation {
namespace {

constexpr size_t kLinesOfLog = 400;

RunConfig MakeConfig(const ClusterOptions& options) {
  RunConfig config;
  config.run.folder = "run";
  config.run.deterministic = true;
  config.data.batch_size = 8;
  config.data.micro_batch_size = 2;
  config.backbone.embedding_size = kDim;
  config.schedule.epochs = 2;
  config.verification.sets = {"set.bin"};
  config.checkpoint.every_steps = 20;
  config.cluster.shards = options.shards;
  config.cluster.workers = options.workers;
  config.cluster.heartbeat_interval = absl::Milliseconds(250);
  config.cluster.heartbeat_timeout = absl::Seconds(2);
  config.cluster.connect_timeout = absl::Seconds(20);
  config.cluster.rejoin_grace = absl::Seconds(4);
  config.cluster.rejoin_timeout = absl::Seconds(120);
  return config;
}

std::string RoleOf(const std::string& name) { return name.substr(0, name.find('-')); }

uint32_t IndexOf(const std::string& name) {
  uint32_t index = 0;
  const bool is_number = absl::SimpleAtoi(name.substr(name.find('-') + 1), &index);
  return is_number ? index : 0;
}

}  // namespace

std::string Describe(const Fault& fault) {
  const std::string when = absl::StrCat("at ", absl::FormatDuration(fault.at));
  const std::string lasts = absl::StrCat(" for ", absl::FormatDuration(fault.lasts));
  switch (fault.kind) {
    case FaultKind::kKill:
      return absl::StrCat(when, " kill ", fault.victim, ", restarted after ", absl::FormatDuration(fault.lasts));
    case FaultKind::kStop:
      return absl::StrCat(when, " stop ", fault.victim, lasts);
    case FaultKind::kCut:
      return absl::StrCat(when, " cut ", fault.victim, " from ", fault.other, lasts);
    case FaultKind::kSlow:
      return absl::StrCat(when, " slow messages", lasts);
    case FaultKind::kIsolate:
      return absl::StrCat(when, " isolate the coordinator and start another", lasts);
  }
  return when;
}

Cluster::Cluster(const ClusterOptions& options)
    : world_(options.seed), config_(MakeConfig(options)), all_reduce_(&world_) {
  StartCoordinator();
  for (uint32_t i = 0; i < options.shards; ++i) StartShard(i, /*spare=*/false);
  if (options.spare) StartShard(options.shards, /*spare=*/true);
  for (uint32_t i = 0; i < options.workers; ++i) StartWorker(i);
  for (const Fault& fault : options.faults) {
    last_decision_ = std::max(last_decision_, world_.time()->Now() + fault.at + fault.lasts);
    world_.time()->After(fault.at, [this, fault] { Apply(fault); });
  }
}

Cluster::~Cluster() = default;

bool Cluster::finished() const {
  const std::optional<absl::Status> result = coordinator_->run().result();
  return result.has_value() && result->ok();
}

void Cluster::RunFor(absl::Duration limit) {
  const MonotonicTime end = world_.time()->Now() + limit;
  while (violations_.empty() && !finished()) {
    if (world_.time()->Now() > end || !world_.time()->RunNext()) {
      Violation(absl::StrCat("the run has not ended; it is at step ", coordinator_->progress().step, ", waiting for ",
                             coordinator_->progress().waiting_for));
      return;
    }
    CheckStep();
    CheckPause();
  }
  if (finished()) CheckRest();
}

// --- Checks

void Cluster::Log(const std::string& what) {
  log_.push_back(absl::StrCat(absl::FormatDuration(world_.time()->Now() - MonotonicTime()), "  ", what));
  if (log_.size() > kLinesOfLog) log_.pop_front();
}

// One that another has replaced gives up some time.
void Cluster::RunFailed(const Process* coordinator, const absl::Status& status) {
  const std::string what = absl::StrCat(coordinator->host(), ": the run ended: ", status.ToString());
  if (coordinator == coordinator_.get()) return Violation(what);
  Log(what);
}

void Cluster::Violation(const std::string& what) {
  Log(absl::StrCat("VIOLATION: ", what));
  violations_.push_back(what);
}

void Cluster::Reached(const std::string& who, const std::string& what, uint64_t step, uint64_t state) {
  reached_ = std::max(reached_, step);
  const auto [known, is_new] = states_.emplace(std::make_pair(what, step), state);
  if (is_new || known->second == state) return;
  Violation(absl::StrCat(who, " holds another state of ", what, " after step ", step, " than others before"));
}

void Cluster::Decided(const StatePoint& before, const Decision& decision) {
  if (decision.step != before.step + 1) {
    Violation(absl::StrCat("step ", decision.step, " is decided after step ", before.step));
  }
  // `before` is built upon now: no other decision about that step may be, until a rollback.
  for (const auto& [key, after] : built_upon_) {
    if (key.first == before.step && after != before.lineage && lost_steps_ == 0) {
      Violation(absl::StrCat("two decisions about step ", before.step, " are built upon"));
    }
  }
  built_upon_[{before.step, before.lineage}] = before.lineage;
}

void Cluster::CheckStep() {
  const coordinator::Progress& progress = coordinator_->progress();
  lost_steps_ = std::max(lost_steps_, progress.lost_steps);
  const bool knows =
      progress.phase != coordinator::Phase::kGathering && progress.phase != coordinator::Phase::kRecovering;
  if (!knows) return;
  // What a coordinator has decided that was cut off from everybody does not count.
  const uint64_t known = std::min(last_step_, reached_);
  if (progress.step < known && progress.lost_steps == 0) {
    Violation(absl::StrCat("the step fell from ", known, " to ", progress.step));
  }
  if (progress.step != last_step_) last_decision_ = world_.time()->Now();
  last_step_ = progress.step;
}

void Cluster::CheckPause() {
  const absl::Duration pause = world_.time()->Now() - last_decision_;
  if (pause <= kLongestPause) return;
  Violation(absl::StrCat("nothing was decided for ", absl::FormatDuration(pause), " after step ", last_step_));
}

void Cluster::CheckRest() {
  const uint64_t last = coordinator_->decided().lineage;
  const auto check = [&](const std::string& name, const StatePoint& point) {
    if (point.lineage != last) Violation(absl::StrCat(name, " ends after step ", point.step, ", in another state"));
  };
  for (const auto& [name, shard] : shards_) {
    if (shard->alive() && shard->view() == coordinator_->view()) check(name, shard->point());
  }
  for (const auto& [name, worker] : workers_) {
    if (worker->alive() && worker->view() == coordinator_->view()) check(name, worker->point());
  }
}

// --- Processes

std::shared_ptr<AttendStream> Cluster::ConnectToCoordinator(StreamEnd<CoordinatorMessage> client) {
  if (!coordinator_->alive() || world_.IsCut(client.process.lock()->host(), coordinator_->host())) return nullptr;
  return coordinator_->Accept(std::move(client));
}

std::shared_ptr<SimShard> Cluster::ShardAt(const std::string& address) {
  for (const auto& [name, shard] : shards_) {
    if (shard->address() == address && shard->alive()) return shard;
  }
  return nullptr;
}

std::shared_ptr<SimWorker> Cluster::WorkerAt(const std::string& address) {
  for (const auto& [name, worker] : workers_) {
    if (worker->address() == address && worker->alive()) return worker;
  }
  return nullptr;
}

void Cluster::StartCoordinator() {
  coordinator_ = std::make_shared<SimCoordinator>(&world_, this, &disk_, &config_,
                                                  absl::StrCat("coordinator.", ++lives_["coordinator"]));
  coordinator_->Start();
}

void Cluster::StartShard(uint32_t index, bool spare) {
  const std::string name = absl::StrCat("shard-", index);
  shards_[name] = std::make_shared<SimShard>(SimParticipant::Parts{&world_, this, &disk_, &config_},
                                             absl::StrCat(name, ".", ++lives_[name]), spare);
  Watch(name, shards_[name].get());
  shards_[name]->Start();
}

void Cluster::StartWorker(uint32_t index) {
  const std::string name = absl::StrCat("worker-", index);
  workers_[name] = std::make_shared<SimWorker>(SimParticipant::Parts{&world_, this, &disk_, &config_}, &all_reduce_,
                                               absl::StrCat(name, ".", ++lives_[name]));
  Watch(name, workers_[name].get());
  workers_[name]->Start();
}

// What ends by itself although the run goes on is started again too.
void Cluster::Watch(const std::string& name, Process* process) {
  process->OnDeath([this, name, life = lives_[name]] {
    world_.time()->After(absl::Milliseconds(200 + static_cast<int64_t>(world_.Draw(800))), [this, name, life] {
      if (!finished() && lives_[name] == life && restarts_itself_[name]) Restart(name);
    });
  });
  restarts_itself_[name] = true;
}

void Cluster::Restart(const std::string& name) {
  Log(absl::StrCat("the launcher starts ", name, " again"));
  if (name == "coordinator") return StartCoordinator();
  if (RoleOf(name) == "shard") return StartShard(IndexOf(name), /*spare=*/true);
  StartWorker(IndexOf(name));
}

std::shared_ptr<Process> Cluster::Find(const std::string& name) const {
  if (name == "coordinator") return coordinator_;
  if (const auto shard = shards_.find(name); shard != shards_.end()) return shard->second;
  return workers_.at(name);
}

// --- Faults

void Cluster::Apply(const Fault& fault) {
  Log(absl::StrCat("FAULT ", Describe(fault)));
  const std::shared_ptr<Process> victim = fault.victim.empty() ? nullptr : Find(fault.victim);
  switch (fault.kind) {
    case FaultKind::kKill:
      if (!victim->alive()) return;
      restarts_itself_[fault.victim] = false;
      victim->Die();
      world_.time()->After(fault.lasts, [this, name = fault.victim] {
        // Another one may have been started in the place of a coordinator.
        if (!finished() && !Find(name)->alive()) Restart(name);
      });
      return;
    case FaultKind::kStop:
      victim->Stop();
      world_.time()->After(fault.lasts, [victim] { victim->Continue(); });
      return;
    case FaultKind::kCut:
      world_.Cut(victim->host(), Find(fault.other)->host());
      world_.time()->After(fault.lasts, [this] { world_.Heal(); });
      return;
    case FaultKind::kSlow:
      world_.Slow(absl::Milliseconds(80));
      world_.time()->After(fault.lasts, [this] { world_.Slow(absl::ZeroDuration()); });
      return;
    case FaultKind::kIsolate: {
      const std::string old = coordinator_->host();
      for (const auto& [name, shard] : shards_) world_.Cut(old, shard->host());
      for (const auto& [name, worker] : workers_) world_.Cut(old, worker->host());
      former_.push_back(coordinator_);
      StartCoordinator();
      world_.time()->After(fault.lasts, [this] { world_.Heal(); });
      return;
    }
  }
}

}  // namespace arcshard::simulation
