#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "coordinator/run/run.h"
#include "gtest/gtest.h"

// For the tests of Run: a run of some shards and workers that gets its inputs by hand and whose outputs are recorded.
namespace arcshard::coordinator {

class RecordingOutbox final : public Outbox {
 public:
  void Send(Connection to, const std::shared_ptr<const CoordinatorMessage>& message) override {
    sent[to].push_back(*message);
  }
  void Close(Connection to, const absl::Status& status) override { closed.emplace(to, status); }

  std::map<Connection, std::vector<CoordinatorMessage>> sent;
  std::map<Connection, absl::Status> closed;  // the first status of each
};

class RecordingSink final : public ProgressSink {
 public:
  void Report(const Progress& progress) override { reports.push_back(progress); }
  void Note(const std::string& sentence) override { notes.push_back(sentence); }
  void CameOrWent(const std::string& sentence) override { came_or_went.push_back(sentence); }

  void ViewFormed(const ViewAnnouncement& view) override { views.push_back(view); }
  void StepDecided(const StepSummary& step) override { steps.push_back(step); }
  void CheckpointSettled(const CheckpointSummary& checkpoint) override { checkpoints.push_back(checkpoint); }
  void Recovered(const RecoverySummary& recovery) override { recoveries.push_back(recovery); }

  std::vector<ViewAnnouncement> views;
  std::vector<RecoverySummary> recoveries;
  std::vector<StepSummary> steps;
  std::vector<CheckpointSummary> checkpoints;
  std::vector<Progress> reports;
  std::vector<std::string> notes;
  std::vector<std::string> came_or_went;
};

class RecordingKeeper final : public CheckpointKeeper {
 public:
  void Complete(const std::string& folder, Manifest manifest) override {
    folders.push_back(folder);
    manifests.push_back(std::move(manifest));
  }
  void Abandon(const std::string& folder) override { abandoned.push_back(folder); }
  void DeleteSuperseded() override { ++deletions; }

  int deletions = 0;
  std::vector<std::string> folders;
  std::vector<Manifest> manifests;
  std::vector<std::string> abandoned;
};

// A Run whose outputs are delivered after each input.
class TestedRun {
 public:
  using Options = Run::Options;

  // Without a keeper the run takes no checkpoints.
  TestedRun(Options options, const Clock* clock, Outbox* outbox, ProgressSink* sink, CheckpointKeeper* keeper = nullptr)
      : run_(WithKeeper(std::move(options), keeper), clock),
        receivers_{
            .outbox = outbox, .progress = sink, .keeper = keeper, .keep_lease_history = [this](const auto& history) {
              kept_history_ = history;
            }} {
    Drain();
  }

  void Receive(Connection from, const ParticipantMessage& message) {
    run_.Receive(from, message);
    Drain();
  }
  void Refuse(Connection from, const absl::Status& status) {
    run_.Refuse(from, status);
    Drain();
  }
  void Disconnected(Connection from, absl::string_view reason) {
    run_.Disconnected(from, reason);
    Drain();
  }
  void Tick() {
    run_.Tick();
    Drain();
  }
  void RequestStop() {
    run_.RequestStop();
    Drain();
  }
  void TakeCheckpoint(CheckpointAnswer answer) {
    run_.TakeCheckpoint(std::move(answer));
    Drain();
  }
  void CheckpointKept(uint64_t step, const absl::Status& status) {
    run_.CheckpointKept(step, status);
    Drain();
  }
  RunStatus Status() const { return run_.Status(); }
  RunStatus Overview() const { return run_.Overview(); }
  std::optional<absl::Status> result() const { return run_.result(); }
  const LeaseHistory& kept_history() const { return kept_history_; }  // the last one that it wanted kept

 private:
  static Options WithKeeper(Options options, const CheckpointKeeper* keeper) {
    options.takes_checkpoints = keeper != nullptr;
    return options;
  }
  void Drain() { Deliver(run_.TakeOutputs(), receivers_); }

  Run run_;
  const RunReceivers receivers_;
  LeaseHistory kept_history_;
};

// Connections 10, 11, ... are shards; 20, 21, ... are workers. Their pid is 1000 + connection, their host "h".
class RunTest : public ::testing::Test {
 protected:
  static constexpr Connection kShard0 = 10, kShard1 = 11, kWorker0 = 20, kWorker1 = 21;

  RunTest() {
    options_.config.cluster.shards = 2;
    options_.config.cluster.workers = 2;
    options_.config.data.batch_size = 10;
    options_.config.data.micro_batch_size = 5;
    options_.config.schedule.epochs = 2;
    options_.config.schedule.kind = "steps";
    options_.config.run.max_skips = 3;
    options_.config.run.folder = "/runs/a";
    options_.config.checkpoint.every_minutes = 0;  // only at the end
    options_.config_yaml = "run: {}";
    options_.incarnation = 7;
    options_.seat_grace = absl::ZeroDuration();
  }

  // The options may be changed until the first call.
  TestedRun& run() {
    if (!run_) run_.emplace(options_, &clock_, &outbox_, &sink_, &keeper_);
    return *run_;
  }

  std::vector<Connection> Everybody() const {
    std::vector<Connection> all;
    for (uint32_t k = 0; k < options_.config.cluster.shards; ++k) all.push_back(kShard0 + k);
    for (uint32_t w = 0; w < options_.config.cluster.workers; ++w) all.push_back(kWorker0 + w);
    return all;
  }

  static Registration RegistrationOf(Connection connection) {
    const bool shard = connection < kWorker0;
    return {.role = shard ? Role::kShard : Role::kWorker,
            .address = absl::StrCat("h:", connection),
            .host = "h",
            .pid = static_cast<int64_t>(1000 + connection),
            .capacity_bytes = shard ? uint64_t{1} << 30 : 0};
  }

  void RegisterAll() {
    for (const Connection connection : Everybody()) run().Receive(connection, RegistrationOf(connection));
  }
  void ReportData() {
    for (const Connection connection : Everybody()) {
      if (connection >= kWorker0) run().Receive(connection, DatasetReport{100, 9, 42});
    }
  }
  // The newest view; kView before there is one.
  View CurrentView() const { return sink_.views.empty() ? kView : sink_.views.back().view; }
  // Who was told of it and is still there.
  std::vector<Connection> Members() const {
    std::vector<Connection> members;
    for (const auto& [connection, messages] : outbox_.sent) {
      const std::vector<ViewAnnouncement> views = Received<ViewAnnouncement>(connection);
      const bool told = !views.empty() && views.back().view == CurrentView();
      if (told && !dead_.contains(connection) && !outbox_.closed.contains(connection)) members.push_back(connection);
    }
    return members;
  }
  ViewAnnouncement Announced() const { return sink_.views.back(); }
  // The connection's own part of the newest view.
  JoinedReport JoinedView() const { return {.view = CurrentView(), .state = Announced().state}; }
  void Join() {
    for (const Connection connection : Members()) run().Receive(connection, JoinedView());
  }
  // Until the first step is in progress.
  void Begin() {
    RegisterAll();
    ReportData();
    Join();
  }
  ReadyVote VoteFor(uint64_t step) const {
    return {.view = CurrentView(), .step = step, .loss = 5.0, .target_cosine = 0.25};
  }
  void Vote(uint64_t step) {
    for (const Connection connection : Members()) run().Receive(connection, VoteFor(step));
  }
  // The process ends.
  void Die(Connection connection) {
    dead_.insert(connection);
    run().Disconnected(connection, "stream broken");
  }
  // What the member holds by what it was told, as its process would say after its stream has broken.
  HeldState HeldBy(Connection connection) const {
    const ViewAnnouncement told = Received<ViewAnnouncement>(connection).back();
    HeldState held{.view = told.view, .range_ends = {}, .workers = {}, .state = told.state, .whole = true};
    for (const ShardMember& shard : told.shards) held.range_ends.push_back(shard.range.end);
    for (const WorkerMember& worker : told.workers) held.workers.push_back(worker.id);
    held.last = told.last;
    for (const Decision& decision : Received<Decision>(connection)) {
      if (decision.view != told.view) continue;
      held.state = decision.after();
      held.last = decision;
      held.counters = decision.counters;
    }
    if (RegistrationOf(connection).role == Role::kShard) held.log_base = told.base;
    return held;
  }
  // The registration of the same process on another stream.
  Registration Again(Connection connection) const {
    Registration registration = RegistrationOf(connection);
    const Welcome welcome = Received<Welcome>(connection).back();
    registration.id = welcome.id;
    registration.token = welcome.token;
    if (!Received<ViewAnnouncement>(connection).empty()) registration.held = HeldBy(connection);
    return registration;
  }
  // A process registers that holds nothing, or comes back, as a worker with the same data set.
  void Register(Connection connection, const Registration& registration) {
    run().Receive(connection, registration);
    if (registration.role == Role::kWorker) run().Receive(connection, DatasetReport{100, 9, 42});
  }
  void Register(Connection connection) { Register(connection, RegistrationOf(connection)); }
  // The coordinator is started again: nothing is left but what members hold.
  void Restart() {
    run_.reset();
    outbox_ = {};
    sink_ = {};
    keeper_ = {};
    dead_.clear();
    ++options_.incarnation;
  }
  bool IsNoted(const std::string& part) const {
    for (const std::string& note : sink_.notes) {
      if (absl::StrContains(note, part)) return true;
    }
    return false;
  }

  // Until the verification after step 1 is in progress; with these options each step has one.
  void BeginEvaluating() {
    options_.config.verification.sets = {"omniglot.bin"};
    options_.config.verification.every_epochs = 0.1;
    Begin();
    Vote(1);
    EXPECT_EQ(LastProgress().phase, Phase::kEvaluating);
  }
  void VoteWithNan(uint64_t step) {
    for (const Connection connection : Members()) {
      ReadyVote vote = VoteFor(step);
      if (connection == kWorker1) {
        vote.finite = false;
        vote.reason = "the gradient of features.weight is not finite";
      }
      run().Receive(connection, vote);
    }
  }
  static FileRecord FileOf(Connection connection) {
    return {.name = absl::StrCat("part-", connection), .bytes = connection, .crc32c = 1, .block_crc32c = {1}};
  }
  void ReportCheckpoint(Connection from, uint64_t step, const absl::Status& status = absl::OkStatus()) {
    CheckpointReport report{.view = CurrentView(), .step = step, .status = status};
    if (status.ok()) report.files = {FileOf(from)};
    run().Receive(from, report);
  }
  // The shards and worker 0 owe a part each.
  void ReportCheckpoints(uint64_t step) {
    for (const Connection connection : Members()) {
      if (connection <= kWorker0) ReportCheckpoint(connection, step);
    }
  }
  // All parts are reported, and the keeper completes it.
  void CompleteCheckpoint(uint64_t step) {
    ReportCheckpoints(step);
    run().CheckpointKept(step, absl::OkStatus());
  }
  void FinishAll() {
    for (const Connection connection : Members()) run().Receive(connection, FinishedReport{});
  }
  // Lets time pass in small ticks, while all members but `silent` send heartbeats.
  void LetPass(absl::Duration time, std::optional<Connection> silent = std::nullopt) {
    for (absl::Duration passed; passed < time; passed += absl::Milliseconds(500)) {
      clock_.Advance(absl::Milliseconds(500));
      std::vector<Connection> open;
      for (const auto& [connection, messages] : outbox_.sent) {
        const bool lives = !outbox_.closed.contains(connection) && !dead_.contains(connection);
        if (connection != silent && lives) open.push_back(connection);
      }
      for (const Connection connection : open) run().Receive(connection, HeartbeatReport{});
      run().Tick();
    }
  }

  template <typename T>
  std::vector<T> Received(Connection connection) const {
    std::vector<T> found;
    const auto messages = outbox_.sent.find(connection);
    if (messages == outbox_.sent.end()) return found;
    for (const CoordinatorMessage& message : messages->second) {
      if (const T* one = std::get_if<T>(&message)) found.push_back(*one);
    }
    return found;
  }
  Decision LastDecision(Connection connection = kWorker0) const { return Received<Decision>(connection).back(); }
  // What the member was told last to do next.
  Next LastNext(Connection connection = kWorker0) const {
    Next next;
    for (const CoordinatorMessage& message : outbox_.sent.at(connection)) {
      if (const auto* const install = std::get_if<Install>(&message)) next = install->next;
      if (const auto* const decision = std::get_if<Decision>(&message)) next = decision->next;
      if (const auto* const proceed = std::get_if<Proceed>(&message)) next = proceed->next;
    }
    return next;
  }
  bool HasInstalled(Connection connection = kWorker0) const {
    const std::vector<Install> installs = Received<Install>(connection);
    return !installs.empty() && installs.back().view == CurrentView();
  }
  const Progress& LastProgress() const { return sink_.reports.back(); }
  std::string Sentence() {
    return run().result().has_value() ? std::string(run().result()->message()) : "(still running)";
  }

  static constexpr View kView{7, 1};
  FakeClock clock_;
  RecordingOutbox outbox_;
  RecordingSink sink_;
  RecordingKeeper keeper_;
  TestedRun::Options options_;
  std::set<Connection> dead_;

 private:
  std::optional<TestedRun> run_;
};

}  // namespace arcshard::coordinator
