#include "tests/simulation/sim_worker.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/view/connect_limit.h"

namespace arcshard::simulation {
namespace {

using Protocol = worker::WorkerProtocol;
constexpr uint64_t kFirstBackbone = 4711;
constexpr char kPartName[] = "backbone";

}  // namespace

// --- Messages of the coordinator

Registration SimWorker::Describe() {
  Registration registration;
  registration.role = Role::kWorker;
  registration.address = address();
  return registration;
}

void SimWorker::OnMessage(const CoordinatorMessage& message) {
  if (const auto* const welcome = std::get_if<Welcome>(&message)) return Push(*welcome);
  if (const auto* const view = std::get_if<ViewAnnouncement>(&message)) return Push(*view);
  if (const auto* const install = std::get_if<Install>(&message)) return Push(*install);
  if (const auto* const decision = std::get_if<Decision>(&message)) return Push(*decision);
  if (const auto* const proceed = std::get_if<Proceed>(&message)) return Push(*proceed);
}

void SimWorker::OnDetached() { Push(Detached{}); }

void SimWorker::Push(Event event) {
  events_.push_back(std::move(event));
  Advance();
}

bool SimWorker::Interrupted() const {
  return std::any_of(events_.begin(), events_.end(), [](const Event& event) {
    return std::holds_alternative<ViewAnnouncement>(event) || std::holds_alternative<Detached>(event);
  });
}

void SimWorker::Interrupt() {
  ++work_number_;
  protocol_.OnVoided();
}

void SimWorker::Take(const Welcome& welcome) {
  welcome_ = welcome;
  protocol_.OnWelcome(welcome, world()->time()->Now());
}
void SimWorker::Take(const ViewAnnouncement& view) { protocol_.OnView(view, world()->time()->Now()); }
void SimWorker::Take(const Install& install) { protocol_.OnInstall(install, world()->time()->Now()); }
void SimWorker::Take(const Decision& decision) { protocol_.OnDecision(decision, world()->time()->Now()); }
void SimWorker::Take(const Proceed& proceed) { protocol_.OnProceed(proceed, world()->time()->Now()); }
void SimWorker::Take(const Detached&) {
  protocol_.OnDetached(absl::UnavailableError("the coordinator is lost"), world()->time()->Now());
}

void SimWorker::Advance() {
  if (std::exchange(advancing_, true)) return;
  while (alive()) {
    for (const ParticipantMessage& message : protocol_.TakeMessages()) Send(message);
    if (const auto work = protocol_.TakeWork(); work.has_value()) {
      needs_peers_ = Protocol::NeedsPeers(*work);
      idle_since_.reset();
      std::visit([this](const auto& what) { Do(what); }, *work);
    } else if (!protocol_.idle()) {
      if (!protocol_.running() || !Interrupted()) break;
      Interrupt();
    } else if (protocol_.ended()) {
      return Fail(protocol_.status());
    } else if (!events_.empty()) {
      idle_since_.reset();
      const Event event = std::move(events_.front());
      events_.pop_front();
      std::visit([this](const auto& what) { Take(what); }, event);
    } else {
      if (!idle_since_.has_value()) idle_since_ = world()->time()->Now();
      WakeAtDeadline();
      break;
    }
  }
  advancing_ = false;
}

void SimWorker::WakeAtDeadline() {
  const MonotonicTime deadline = protocol_.deadline();
  if (deadline == MonotonicTime::InfiniteFuture()) return;
  const absl::Duration left = std::max(absl::ZeroDuration(), deadline - world()->time()->Now());
  world()->Later(self(), left, [this] {
    if (protocol_.idle() && !protocol_.ended()) protocol_.OnTime(world()->time()->Now());
    Advance();
  });
}

// --- Work

void SimWorker::Continue(absl::Duration delay, std::function<void()> what) {
  world()->Later(self(), delay, [this, number = work_number_, what = std::move(what)] {
    if (number != work_number_) return;
    what();
    Advance();
  });
}

std::function<void(const absl::StatusOr<uint64_t>&)> SimWorker::IfNotInterrupted(
    std::function<void(const absl::StatusOr<uint64_t>&)> what) {
  return [this, number = work_number_, what = std::move(what)](const absl::StatusOr<uint64_t>& result) {
    if (number != work_number_) return;
    what(result);
    Advance();
  };
}

void SimWorker::Do(const Protocol::OpenData&) {
  backbone_ = kFirstBackbone;
  ++work_number_;
  Continue(absl::Milliseconds(10),
           [this] { protocol_.OnDataOpened({.samples = 400, .classes = 30, .fingerprint = 1}); });
}

void SimWorker::Do(const Protocol::Attach& work) {
  LeaveView();
  Registration registration = work.registration;
  registration.address = address();
  Attach(registration);
}

void SimWorker::Do(const Protocol::JoinView& work) {
  ++work_number_;
  LeaveView();
  const ViewAnnouncement& view = work.view;
  view_ = view;
  position_ = work.position;
  if (work.source == Protocol::Source::kBase) {
    backbone_ = view.checkpoint.empty() ? kFirstBackbone : disk()->parts.at(view.checkpoint).at(kPartName);
  }
  for (size_t k = 0; k < view.shards.size(); ++k) {
    const std::shared_ptr<SimShard> shard = directory()->ShardAt(view.shards[k].address);
    if (shard == nullptr || world()->IsCut(host(), shard->host())) {
      const absl::Duration timeout =
          shard == nullptr ? absl::Milliseconds(5) : worker::ConnectLimit(view, config().cluster);
      return Continue(timeout, [this, id = view.shards[k].id] { LostShard(id); });
    }
    StreamEnd<StatisticsMessage> end;
    end.process = self();
    end.on_message = [this, k, of = view.view](const StatisticsMessage& message) {
      if (view_.has_value() && view_->view == of) Receive(k, message);
    };
    end.on_closed = [this, id = view.shards[k].id, of = view.view](const absl::Status&) {
      if (view_.has_value() && view_->view == of) LostShard(id);
    };
    shards_.push_back(shard->AcceptWorker(std::move(end)));
    shards_.back()->SendToServer(HelloMessage{view.view, view.workers[position_].id});
  }
  Meet(work);
}

void SimWorker::Meet(const Protocol::JoinView& work) {
  const SimAllReduce::Share share{position_, work.sender.value_or(0), backbone_,
                                  worker::ConnectLimit(*view_, config().cluster)};
  Reduce(0, share, [this, source = work.source](uint64_t state) {
    if (source == Protocol::Source::kCopy) backbone_ = state;
    directory()->Reached(host(), kPartName, view_->state.step, backbone_);
    protocol_.OnJoined(0, 0.0);
  });
}

void SimWorker::Reduce(uint64_t round, const SimAllReduce::Share& share, std::function<void(uint64_t)> then) {
  all_reduce_since_ = world()->time()->Now();
  all_reduce_->Add(*view_, round, self(), share,
                   IfNotInterrupted([this, then = std::move(then)](const absl::StatusOr<uint64_t>& result) {
                     all_reduce_since_.reset();
                     if (!result.ok()) return LostWorkers();
                     then(*result);
                   }));
}

ParticipantStats SimWorker::Stats() const {
  ParticipantStats stats;
  if (!view_.has_value()) return stats;
  Waiting& waiting = stats.waiting;
  waiting.view = view_->view;
  std::optional<MonotonicTime> since;
  if (!protocol_.running()) {
    waiting.coordinator = true;
    since = idle_since_;
  } else if (all_reduce_since_.has_value()) {
    waiting.all_reduce = true;
    since = all_reduce_since_;
  } else if (shards_since_.has_value()) {
    std::set<size_t> silent;
    for (const auto& [m, micro_batch] : micro_batches_) {
      for (size_t k = 0; k < shards_.size(); ++k) {
        if (!micro_batch.answers.contains(k)) silent.insert(k);
      }
    }
    for (const size_t k : silent) waiting.shards.push_back(view_->shards[k].id);
    since = shards_since_;
  }
  if (since.has_value()) waiting.seconds = absl::ToDoubleSeconds(world()->time()->Now() - *since);
  return stats;
}

void SimWorker::LeaveView() {
  if (!view_.has_value()) return;
  for (const auto& stream : std::exchange(shards_, {}))
    stream->CloseByClient(absl::CancelledError("the view has ended"));
  all_reduce_->Leave(view_->view, position_);
  view_.reset();
  lost_shard_.reset();
  micro_batches_.clear();
  all_reduce_since_.reset();
  shards_since_.reset();
}

void SimWorker::LostShard(uint32_t id) {
  lost_shard_ = id;
  if (!protocol_.running() || !needs_peers_) return;  // the next work that needs it finds out
  ++work_number_;
  LostPeersReport report{.view = view_->view, .shards = {id}, .sentence = "shard lost"};
  LeaveView();
  protocol_.OnLostPeers(std::move(report), world()->time()->Now());
  Advance();
}

void SimWorker::LostWorkers() {
  ++work_number_;
  LostPeersReport report{.view = view_->view, .sentence = "the all-reduce lost a peer"};
  for (size_t i = 0; i < view_->workers.size(); ++i) {
    if (i != position_) report.workers.push_back(view_->workers[i].id);
  }
  LeaveView();
  protocol_.OnLostPeers(std::move(report), world()->time()->Now());
}

void SimWorker::Do(const Protocol::ApplyDecision& work) {
  if (work.decision.outcome == Outcome::kCommit) {
    backbone_ = Mix(Mix(backbone_, reduced_), work.decision.step);
  }
  directory()->Reached(host(), kPartName, work.decision.step, backbone_);
}

void SimWorker::Do(const Protocol::BeginCheckpoint& work) {
  const std::string folder = CheckpointFolder("run", {work.step, work.view.incarnation, work.view.counter});
  ++writing_;
  const absl::Duration takes = absl::Milliseconds(1 + static_cast<int64_t>(world()->Draw(300)));
  world()->Later(self(), takes, [this, work, folder, state = backbone_] {
    disk()->parts[folder][kPartName] = state;
    CheckpointReport report{.view = work.view, .step = work.step};
    report.files.push_back({.name = "backbone.safetensors", .bytes = 8, .crc32c = 1, .block_crc32c = {1}});
    Send(report);
    --writing_;
  });
}

void SimWorker::Do(const Protocol::ComputeStep& work) {
  ++work_number_;
  if (lost_shard_.has_value()) return Continue(absl::Milliseconds(1), [this] { LostShard(*lost_shard_); });
  plan_ = work.plan;
  gradient_ = 0;
  micro_batches_.clear();
  uint64_t first = plan_.first_sample;
  for (uint32_t m = 0; m < plan_.micro_batch_sizes.size(); ++m) {
    const uint32_t size = plan_.micro_batch_sizes[m];
    if (WorkerOfMicroBatch(m, view_->workers.size()) == position_) {
      MicroBatch& micro_batch = micro_batches_[m];
      for (uint32_t i = 0; i < size; ++i) {
        micro_batch.labels.push_back(static_cast<int64_t>(Mix(plan_.epoch, first + i) % 30));
      }
      const Key key{view_->view, plan_.step, m};
      for (const auto& shard : shards_) shard->SendToServer(LabelsMessage{key, micro_batch.labels});
    }
    first += size;
  }
  const auto compute = absl::Microseconds(500 + static_cast<int64_t>(world()->Draw(20000)));
  Continue(compute, [this] {
    for (const auto& [m, micro_batch] : micro_batches_) {
      EmbeddingMessage message{Key{view_->view, plan_.step, m}, {}};
      for (size_t i = 0; i < micro_batch.labels.size() * kDim; ++i) {
        message.values.push_back(ToFloat(Mix(Mix(backbone_, plan_.step), m * 1000 + i)));
      }
      for (const auto& shard : shards_) shard->SendToServer(message);
    }
    shards_since_ = world()->time()->Now();
    if (micro_batches_.empty()) ReduceStep();
  });
}

void SimWorker::ReduceStep() {
  Reduce(plan_.step, {position_, 0, gradient_, absl::ZeroDuration()}, [this](uint64_t sum) {
    reduced_ = sum;
    protocol_.OnComputed({.loss = 1.0, .target_cosine = 0.5});
  });
}

void SimWorker::Receive(size_t shard, const StatisticsMessage& message) {
  const auto found = micro_batches_.find(message.key.micro_batch);
  if (message.key.step != plan_.step || found == micro_batches_.end()) return;
  found->second.answers[shard] = message;
  shards_since_ = world()->time()->Now();
  if (found->second.answers.size() == shards_.size()) FinishMicroBatch(message.key.micro_batch);
}

void SimWorker::FinishMicroBatch(uint32_t m) {
  const MicroBatch micro_batch = std::move(micro_batches_.at(m));
  micro_batches_.erase(m);
  uint64_t hash = Mix(plan_.step, m);
  for (const auto& [shard, answer] : micro_batch.answers) hash = MixAll(MixAll(hash, answer.z), answer.u);
  GradientMessage gradient{Key{view_->view, plan_.step, m}, {}, {}};
  for (size_t i = 0; i < micro_batch.labels.size(); ++i) {
    gradient.r.push_back(ToFloat(Mix(hash, 2 * i)));
    gradient.t.push_back(ToFloat(Mix(hash, 2 * i + 1)));
  }
  for (const auto& stream : shards_) stream->SendToServer(gradient);
  gradient_ += hash;
  if (micro_batches_.empty()) ReduceStep();
}

void SimWorker::Do(const Protocol::Evaluate&) {
  ++work_number_;
  Continue(absl::Milliseconds(200 + static_cast<int64_t>(world()->Draw(300))), [this] {
    VerificationReport report;
    report.name = "set";
    report.accuracy = 0.9;
    protocol_.OnEvaluated({report}, "");
  });
}

void SimWorker::Do(const Protocol::FinishRun& work) {
  ++work_number_;
  const auto finish = std::make_shared<std::function<void()>>();
  *finish = [this, work, weak = std::weak_ptr(finish)] {
    const auto again = weak.lock();
    if (writing_ > 0) return Continue(absl::Milliseconds(50), [again] { (*again)(); });
    if (work.writes_model) disk()->model[kPartName] = backbone_;
    protocol_.OnFinished();
  };
  Continue(absl::Milliseconds(20), [finish] { (*finish)(); });
}

}  // namespace arcshard::simulation
