#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "coordinator/run/run.h"
#include "gtest/gtest.h"

// For the tests of Run: a run of some shards and workers, spoken to by hand, that writes down what it says.
namespace arcshard::coordinator {

using TestedRun = Run;  // in a fixture Run is gtest's own function

class RecordingOutbox final : public Outbox {
 public:
  void Send(Connection to, const CoordinatorMessage& message) override { sent[to].push_back(message); }
  void Close(Connection to, const absl::Status& status) override { closed.emplace(to, status); }

  std::map<Connection, std::vector<CoordinatorMessage>> sent;
  std::map<Connection, absl::Status> closed;  // the first closing of each
};

class RecordingSink final : public ProgressSink {
 public:
  void Report(const Progress& progress) override { reports.push_back(progress); }
  void Note(const std::string& sentence) override { notes.push_back(sentence); }

  void ViewFormed(const ViewAnnouncement& view) override { views.push_back(view); }
  void StepDecided(const StepSummary& step) override { steps.push_back(step); }
  void CheckpointSettled(const CheckpointSummary& checkpoint) override { checkpoints.push_back(checkpoint); }

  std::vector<ViewAnnouncement> views;
  std::vector<StepSummary> steps;
  std::vector<CheckpointSummary> checkpoints;
  std::vector<Progress> reports;
  std::vector<std::string> notes;
};

class RecordingKeeper final : public CheckpointKeeper {
 public:
  void Complete(const std::string& folder, Manifest manifest) override {
    folders.push_back(folder);
    manifests.push_back(std::move(manifest));
  }
  void Abandon(const std::string& folder) override { abandoned.push_back(folder); }

  std::vector<std::string> folders;
  std::vector<Manifest> manifests;
  std::vector<std::string> abandoned;
};

// Connections 10, 11, ... are shards, 20, 21, ... workers; pid 1000 + connection, host "h".
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
    options_.keeper = &keeper_;
    options_.config_yaml = "run: {}";
    options_.incarnation = 7;
  }

  // Options may be changed until then.
  TestedRun& run() {
    if (!run_) run_.emplace(options_, &clock_, &outbox_, &sink_);
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
  void Join() {
    for (const Connection connection : Everybody()) run().Receive(connection, JoinedReport{kView});
  }
  // To the first step.
  void Begin() {
    RegisterAll();
    ReportData();
    Join();
  }
  static ReadyVote VoteFor(uint64_t step) { return {.view = kView, .step = step, .loss = 5.0, .target_cosine = 0.25}; }
  void Vote(uint64_t step) {
    for (const Connection connection : Everybody()) run().Receive(connection, VoteFor(step));
  }
  void VoteWithNan(uint64_t step) {
    for (const Connection connection : Everybody()) {
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
    CheckpointReport report{.view = kView, .step = step, .status = status};
    if (status.ok()) report.files = {FileOf(from)};
    run().Receive(from, report);
  }
  // Those who owe a part: the shards and worker 0.
  void ReportCheckpoints(uint64_t step) {
    for (const Connection connection : Everybody()) {
      if (connection <= kWorker0) ReportCheckpoint(connection, step);
    }
  }
  // Until it is complete.
  void CompleteCheckpoint(uint64_t step) {
    ReportCheckpoints(step);
    run().CheckpointKept(step, absl::OkStatus());
  }
  void FinishAll() {
    for (const Connection connection : Everybody()) run().Receive(connection, FinishedReport{});
  }
  // Time passes in small ticks while everybody but `silent` sends heartbeats.
  void LetPass(absl::Duration time, std::optional<Connection> silent = std::nullopt) {
    for (absl::Duration passed; passed < time; passed += absl::Milliseconds(500)) {
      clock_.Advance(absl::Milliseconds(500));
      for (const auto& [connection, messages] : outbox_.sent) {
        if (connection != silent && !outbox_.closed.contains(connection)) run().Receive(connection, HeartbeatReport{});
      }
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

 private:
  std::optional<TestedRun> run_;
};

}  // namespace arcshard::coordinator
