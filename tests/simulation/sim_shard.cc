#include "tests/simulation/sim_shard.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard::simulation {
namespace {

std::string PartName(const ClassRange& range) { return absl::StrCat("class_centers-", range.begin, "-", range.end); }

}  // namespace

std::optional<ClassRange> SimShard::range() const {
  if (head_ == nullptr) return std::nullopt;
  return head_->options().range;
}

// --- The coordinator

Registration SimShard::Describe() {
  Registration registration;
  registration.role = Role::kShard;
  registration.address = address();
  registration.capacity_bytes = uint64_t{1} << 30;
  registration.spare = spare_;
  if (welcome_.has_value()) {
    registration.id = welcome_->id;
    registration.token = welcome_->token;
  }
  if (state_ != nullptr && !(view_ == View{})) registration.held = state_->held();
  return registration;
}

void SimShard::OnDetached() { Attach(Describe()); }

void SimShard::OnMessage(const CoordinatorMessage& message) {
  std::visit([this](const auto& one) { Take(one); }, message);
  if (alive()) Pump();
}

void SimShard::Check(const absl::Status& status, const char* what) {
  if (status.ok()) return;
  directory()->Violation(absl::StrCat(host(), " refused ", what, ": ", status.ToString()));
  Fail(status);
}

void SimShard::Take(const Welcome& welcome) { welcome_ = welcome; }

void SimShard::Take(const ViewAnnouncement& view) {
  const auto self = std::find_if(view.shards.begin(), view.shards.end(),
                                 [this](const ShardMember& shard) { return shard.id == welcome_->id; });
  if (self == view.shards.end()) return Check(absl::InternalError("the view is without it"), "a view");
  if (head_ == nullptr || !(head_->options().range == self->range) || state_->options().id != welcome_->id) {
    head::HeadOptions options;
    options.num_classes = view.num_classes;
    options.range = self->range;
    options.dim = kDim;
    state_.reset();
    head_ = std::make_unique<HashHead>(options);
    shard::ShardState::Options of_state;
    of_state.id = welcome_->id;
    of_state.dim = kDim;
    of_state.batch_size = 8;
    of_state.max_in_flight = config().cluster.max_in_flight;
    of_state.deterministic = true;
    of_state.log_bytes = config().cluster.log_mb << 20;
    of_state.recovery_target = config().cluster.recovery_target;
    of_state.clock = world()->time();
    state_ = std::make_unique<shard::ShardState>(of_state, static_cast<shard::ShardOutput*>(this));
  }
  view_ = view.view;
  stopping_ = false;
  Check(state_->JoinView(view, head_.get()), "a view");
  for (const auto& take : std::exchange(early_, {})) take();
}

void SimShard::Take(const Install& install) {
  if (install.view < view_) return;
  Check(state_->Install(install), "Install");
  if (alive()) Follow(install.next);
}

void SimShard::Take(const Decision& decision) {
  if (decision.view < view_) return;
  Check(state_->Decide(decision), "a decision");
  if (alive()) Follow(decision.next);
}

void SimShard::Take(const Proceed& proceed) {
  if (proceed.view < view_) return;
  Check(state_->Proceed(proceed), "Proceed");
  if (alive()) Follow(proceed.next);
}

void SimShard::Take(const CheckpointSettled& settled) {
  if (state_ != nullptr) state_->CheckpointSettled(settled);
}

void SimShard::Follow(const Next& next) { stopping_ = next.action == NextAction::kStop; }

ParticipantStats SimShard::Stats() const {
  ParticipantStats stats;
  if (state_ != nullptr && !pumping_) stats.waiting = state_->waiting();
  return stats;
}

// --- The executor

void SimShard::Pump() {
  if (pumping_ || state_ == nullptr) return;
  if (!state_->HasWork()) {
    if (!stopping_ || writing_ > 0) return;
    stopping_ = false;
    disk()->model[PartName(head_->options().range)] = head_->state();
    Send(FinishedReport{});
    return;
  }
  pumping_ = true;
  world()->Later(self(), absl::Microseconds(100 + static_cast<int64_t>(world()->Draw(5000))), [this] {
    pumping_ = false;
    if (state_ != nullptr && state_->HasWork()) Check(state_->RunOne(), "work");
    if (alive()) Pump();
  });
}

void SimShard::Applied(uint64_t step, Outcome) {
  if (voted_ != step) directory()->Violation(absl::StrCat(host(), " applies step ", step, " and voted on ", voted_));
  directory()->Reached(host(), PartName(head_->options().range), step, head_->state());
}

void SimShard::Joined(const JoinedReport& report) {
  if (head_->in_a_step()) directory()->Violation(absl::StrCat(host(), " joins while a step is in hand"));
  directory()->Reached(host(), PartName(head_->options().range), report.state.step, head_->state());
  Send(report);
}

void SimShard::VoteReady(const ReadyVote& vote) {
  voted_ = vote.step;
  Send(vote);
}

void SimShard::TakeCheckpoint(const View& view, uint64_t step) {
  const std::string folder = CheckpointFolder("run", {step, view.incarnation, view.counter});
  const std::string name = PartName(head_->options().range);
  ++writing_;
  const absl::Duration takes = absl::Milliseconds(1 + static_cast<int64_t>(world()->Draw(400)));
  world()->Later(self(), takes, [this, view, step, folder, name, state = head_->state()] {
    disk()->parts[folder][name] = state;
    CheckpointReport report{.view = view, .step = step};
    report.files.push_back({.name = name + ".safetensors", .bytes = 8, .crc32c = 1, .block_crc32c = {1}});
    Send(report);
    --writing_;
    Pump();
  });
}

absl::Status SimShard::RestoreBase(const ViewAnnouncement& view) {
  if (head_->in_a_step()) directory()->Violation(absl::StrCat(host(), " restores rows during a step"));
  if (view.checkpoint.empty()) {
    head_->SetToFirst();
    return absl::OkStatus();
  }
  const auto folder = disk()->parts.find(view.checkpoint);
  const std::string name = PartName(head_->options().range);
  if (folder == disk()->parts.end() || !folder->second.contains(name)) {
    directory()->Violation(absl::StrCat("the base ", view.checkpoint, " lacks ", name));
    return absl::NotFoundError("no such part");
  }
  head_->set_state(folder->second.at(name));
  return absl::OkStatus();
}

// --- The replay

std::shared_ptr<ReplayStream> SimShard::AcceptReplay(StreamEnd<RecordAnswer> client) {
  StreamEnd<RecordRequest> server;
  server.process = self();
  server.on_closed = [](const absl::Status&) {};
  const auto stream = std::make_shared<std::weak_ptr<ReplayStream>>();
  server.on_message = [this, stream](const RecordRequest& request) {
    RecordAnswer answer =
        state_ == nullptr ? RecordAnswer(absl::NotFoundError("no state")) : state_->RecordAfter(request.after);
    if (const auto open = stream->lock()) open->SendToClient(std::move(answer));
  };
  const auto connected = ReplayStream::Connect(world(), std::move(client), std::move(server));
  *stream = connected;
  return connected;
}

void SimShard::RequestReplay(const ViewAnnouncement& view, uint32_t peer, const StatePoint& after, uint64_t until) {
  const auto replay = std::make_shared<Replay>();
  replay->view = view.view;
  replay->after = after;
  replay->until = until;
  replay_ = replay;
  const auto member = std::find_if(view.shards.begin(), view.shards.end(),
                                   [peer](const ShardMember& shard) { return shard.id == peer; });
  const std::shared_ptr<SimShard> server = directory()->ShardAt(member->address);
  const auto end_with = [this, replay](const absl::Status& status) {
    if (replay != replay_) return;
    replay_ = nullptr;
    state_->ReplayEnded(replay->view, status);
    Pump();
  };
  if (server == nullptr || world()->IsCut(host(), server->host())) {
    const absl::Duration timeout = server == nullptr ? absl::Milliseconds(10) : config().cluster.heartbeat_timeout;
    world()->Later(self(), timeout, [end_with] { end_with(absl::UnavailableError("does not answer")); });
    return;
  }
  StreamEnd<RecordAnswer> client;
  client.process = self();
  client.on_closed = end_with;
  client.on_message = [this, replay, end_with](const RecordAnswer& answer) {
    if (replay != replay_) return;
    if (!answer.ok()) return end_with(answer.status());
    replay->after = (*answer)->after;
    if (const absl::Status status = state_->Record(replay->view, *answer); !status.ok()) return end_with(status);
    if (replay->after.step == replay->until) return end_with(absl::OkStatus());
    AskForRecord();
    Pump();
  };
  replay->stream = server->AcceptReplay(std::move(client));
  AskForRecord();
}

void SimShard::AskForRecord() {
  if (replay_ != nullptr && replay_->stream != nullptr) replay_->stream->SendToServer({replay_->after});
}

// --- Workers

std::shared_ptr<ExchangeStream> SimShard::AcceptWorker(StreamEnd<StatisticsMessage> client) {
  StreamEnd<WorkerMessage> server;
  server.process = self();
  const auto id = std::make_shared<std::optional<uint32_t>>();
  const auto stream = std::make_shared<std::weak_ptr<ExchangeStream>>();
  server.on_closed = [this, id, stream](const absl::Status&) {
    const auto open = id->has_value() ? workers_.find(**id) : workers_.end();
    if (open != workers_.end() && open->second == stream->lock()) workers_.erase(open);
  };
  server.on_message = [this, id, stream](const WorkerMessage& message) {
    // As the service does it: a hello of a view that the shard does not know yet waits for it.
    const auto take = [this, id, stream, message] {
      if (const auto open = stream->lock()) TakeOne(message, id.get(), open);
    };
    if (state_ == nullptr) {
      early_.push_back(take);
    } else {
      take();
    }
  };
  const auto connected = ExchangeStream::Connect(world(), std::move(client), std::move(server));
  *stream = connected;
  return connected;
}

void SimShard::TakeOne(const WorkerMessage& message, std::optional<uint32_t>* id,
                       const std::shared_ptr<ExchangeStream>& stream) {
  absl::Status status = absl::FailedPreconditionError("the first message must be a hello");
  if (const auto* const hello = std::get_if<HelloMessage>(&message)) {
    status = state_->Hello(hello->worker, hello->view);
    if (status.ok()) {
      *id = hello->worker;
      workers_[hello->worker] = stream;
    }
  } else if (!id->has_value()) {
    status = absl::FailedPreconditionError("the first message must be a hello");
  } else if (const auto* const labels = std::get_if<LabelsMessage>(&message)) {
    status = state_->Labels(**id, labels->key, labels->labels);
  } else if (const auto* const e = std::get_if<EmbeddingMessage>(&message)) {
    const int64_t rows = static_cast<int64_t>(e->values.size()) / kDim;
    status = state_->Embedding(**id, e->key, {e->values.data(), rows, kDim});
  } else if (const auto* const gradient = std::get_if<GradientMessage>(&message)) {
    status = state_->Gradient(**id, gradient->key, gradient->r, gradient->t);
  }
  if (status.ok()) return Pump();
  directory()->Log(absl::StrCat(host(), " refuses a message: ", status.message()));
  stream->CloseByServer(status);
}

void SimShard::SendStatistics(uint32_t worker, const Key& key, const shard::PartialStatistics& statistics) {
  const auto stream = workers_.find(worker);
  if (stream == workers_.end()) return;
  StatisticsMessage message{.key = key, .z = {statistics.z.begin(), statistics.z.end()}, .u = {}};
  message.u.assign(statistics.u.data, statistics.u.data + statistics.u.size());
  stream->second->SendToClient(std::move(message));
}

void SimShard::Refuse(uint32_t worker, const Key&, const absl::Status& why) {
  if (const auto stream = workers_.find(worker); stream != workers_.end()) stream->second->CloseByServer(why);
}

}  // namespace arcshard::simulation
