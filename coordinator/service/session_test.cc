#include "coordinator/service/session.h"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/testing/fake_clock.h"
#include "coordinator/run/progress.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// The session with a thread for each participant but without gRPC, so that ThreadSanitizer sees every access.
namespace arcshard::coordinator {
namespace {

using ::testing::StartsWith;

// Both the coordinator's end of a stream and the participant's inbox.
class Inbox final : public Session::Stream {
 public:
  bool Send(CoordinatorMessage message) override {
    MutexLock lock(&mutex_);
    if (closed_.has_value()) return false;
    messages_.push_back(std::move(message));
    changed_.NotifyAll();
    return true;
  }
  void Close(const absl::Status& status) override {
    MutexLock lock(&mutex_);
    if (!closed_.has_value()) closed_ = status;
    changed_.NotifyAll();
  }

  // Waits for the next message of type T and drops others. Returns nothing once the stream is closed.
  template <typename T>
  std::optional<T> Await() {
    MutexLock lock(&mutex_);
    while (true) {
      while (next_ < messages_.size()) {
        if (const T* found = std::get_if<T>(&messages_[next_++])) return *found;
      }
      if (closed_.has_value()) return std::nullopt;
      changed_.Wait(&mutex_);
    }
  }
  absl::Status AwaitClosed() {
    MutexLock lock(&mutex_);
    while (!closed_.has_value()) changed_.Wait(&mutex_);
    return *closed_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<CoordinatorMessage> messages_ ABSL_GUARDED_BY(mutex_);
  size_t next_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> closed_ ABSL_GUARDED_BY(mutex_);
};

// The session's lock guards it; ThreadSanitizer checks that.
class CountingSink final : public ProgressSink {
 public:
  void Report(const Progress& progress) override { last = progress; }
  void Note(const std::string&) override {}
  void CameOrWent(const std::string&) override {}
  void ViewFormed(const ViewAnnouncement&) override {}
  void StepDecided(const StepSummary&) override { ++steps; }
  void CheckpointSettled(const CheckpointSummary&) override {}

  Progress last;
  uint64_t steps = 0;
};

// Hands the step of a checkpoint to another thread.
class WaitingKeeper final : public CheckpointKeeper {
 public:
  void Complete(const std::string&, Manifest manifest) override { step_ = manifest.step; }
  void Abandon(const std::string&) override {}
  // Returns the step of a checkpoint that was handed over since the last call, or 0.
  uint64_t Take() { return step_.exchange(0); }

 private:
  std::atomic<uint64_t> step_{0};
};

class SessionTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kShards = 3, kWorkers = 3;

  SessionTest() : session_(MakeOptions(), &clock_, {.progress = &sink_, .keeper = &keeper_}) {}

  static Run::Options MakeOptions() {
    Run::Options options;
    options.config.cluster.shards = kShards;
    options.config.cluster.workers = kWorkers;
    options.config.data.batch_size = 10;
    options.config.data.micro_batch_size = 5;
    options.config.schedule.epochs = 5;
    options.incarnation = 1;
    return options;
  }

  // Lives a participant's life and returns how its stream ended. The participant vanishes at step `dies_at`, or lives
  // to the end if that is 0.
  absl::Status Live(Role role, uint64_t dies_at) {
    const auto inbox = std::make_shared<Inbox>();
    const Connection me = session_.Attach(inbox);
    session_.Receive(me,
                     Registration{.role = role, .address = "h:1", .host = "h", .pid = 1, .capacity_bytes = 1 << 20});
    const auto welcome = inbox->Await<Welcome>();
    if (role == Role::kWorker) session_.Receive(me, DatasetReport{100, 7, 1});
    if (const auto view = inbox->Await<ViewAnnouncement>()) session_.Receive(me, JoinedReport{view->view});
    while (const auto decision = inbox->Await<Decision>()) {
      if (decision->next.checkpoint && (role == Role::kShard || welcome->id == 0)) {
        session_.Receive(me, CheckpointReport{.view = decision->view, .step = decision->step});
      }
      if (decision->next.action == NextAction::kStop) {
        session_.Receive(me, FinishedReport{});
        break;
      }
      const uint64_t step = decision->next.plan.step;
      if (step == dies_at) {
        session_.Detach(me, absl::CancelledError());
        return absl::CancelledError();
      }
      session_.Receive(me, HeartbeatReport{});
      session_.Receive(me, ReadyVote{.view = decision->view, .step = step, .loss = 1.0});
    }
    const absl::Status closed = inbox->AwaitClosed();
    session_.Detach(me, closed);
    return closed;
  }

  // Runs each participant in a thread of its own. The one numbered `dying` vanishes at step 17.
  std::vector<absl::Status> LiveAll(std::optional<uint32_t> dying) {
    std::vector<absl::Status> ends(kShards + kWorkers);
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < kShards + kWorkers; ++i) {
      threads.emplace_back([&, i] { ends[i] = Live(i < kShards ? Role::kShard : Role::kWorker, i == dying ? 17 : 0); });
    }
    std::optional<absl::Status> end;
    while (!(end = session_.AwaitEnd(absl::Milliseconds(1))).has_value()) {
      session_.Tick();
      if (const uint64_t step = keeper_.Take(); step > 0) session_.CheckpointKept(step, absl::OkStatus());
    }
    for (std::thread& thread : threads) thread.join();
    result_ = *end;
    return ends;
  }

  FakeClock clock_;
  CountingSink sink_;
  WaitingKeeper keeper_;
  Session session_;
  absl::Status result_;
};

TEST_F(SessionTest, CarriesParticipantsOnThreadsOfTheirOwnToAnOrderlyEnd) {
  for (const absl::Status& end : LiveAll(/*dying=*/std::nullopt)) EXPECT_TRUE(end.ok()) << end;
  EXPECT_TRUE(result_.ok()) << result_;
  EXPECT_EQ(sink_.steps, 50u);
  EXPECT_EQ(sink_.last.phase, Phase::kFinished);
  EXPECT_EQ(sink_.last.checkpoint_step, 50u);
}

TEST_F(SessionTest, TellsEverybodyOfADeathAndEndsOnce) {
  const std::vector<absl::Status> ends = LiveAll(/*dying=*/kShards + 1);
  EXPECT_EQ(sink_.steps, 16u);
  EXPECT_THAT(std::string(result_.message()), StartsWith("worker "));
  EXPECT_EQ(DetailsOf(result_), (FailureDetails{.pid = 1}));
  const absl::Status told(result_.code(), result_.message());  // the details stay in the coordinator
  for (uint32_t i = 0; i < ends.size(); ++i) {
    EXPECT_EQ(ends[i], i == kShards + 1 ? absl::CancelledError() : told);
  }
}

TEST_F(SessionTest, StopsFromAnyThread) {
  std::thread stopper([&] { session_.RequestStop(); });
  std::thread other([&] { session_.RequestStop(); });
  LiveAll(/*dying=*/std::nullopt);
  stopper.join();
  other.join();
  EXPECT_TRUE(result_.ok()) << result_;
}

TEST_F(SessionTest, ClosesStreamsThatNeverRegisteredWhenItEnds) {
  const auto stranger = std::make_shared<Inbox>();
  session_.Attach(stranger);
  session_.RequestStop();
  EXPECT_TRUE(stranger->AwaitClosed().ok());
  EXPECT_EQ(session_.AwaitEnd(absl::ZeroDuration()), absl::OkStatus());
}

}  // namespace
}  // namespace arcshard::coordinator
