#include "coordinator/service/session.h"

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/testing/fake_clock.h"
#include "coordinator/progress/progress.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// The session with a thread for each participant but without gRPC, so that ThreadSanitizer sees every access.
namespace arcshard::coordinator {
namespace {

using ::testing::StartsWith;

// Both the coordinator's end of a stream and the participant's inbox.
class Inbox final : public Session::Stream {
 public:
  void Send(const std::shared_ptr<const CoordinatorMessage>& message) override {
    MutexLock lock(&mutex_);
    if (closed_.has_value()) return;
    messages_.push_back(*message);
    changed_.NotifyAll();
  }
  void Close(const absl::Status& status) override {
    MutexLock lock(&mutex_);
    if (!closed_.has_value()) closed_ = status;
    changed_.NotifyAll();
  }

  // Waits for the next message. Returns nothing once the stream is closed.
  std::optional<CoordinatorMessage> Await() {
    MutexLock lock(&mutex_);
    while (true) {
      if (next_ < messages_.size()) return messages_[next_++];
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
  void Recovered(const RecoverySummary&) override { ++recoveries; }

  Progress last;
  uint64_t recoveries = 0;
  uint64_t steps = 0;
};

// Hands the step of a checkpoint to another thread.
class WaitingKeeper final : public CheckpointKeeper {
 public:
  void Complete(const std::string&, Manifest manifest) override { step_ = manifest.step; }
  void Abandon(const std::string&) override {}
  void DeleteSuperseded() override {}
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
    options.seat_grace = absl::ZeroDuration();
    return options;
  }

  // A process of the run, on a thread of its own.
  class Participant {
   public:
    Participant(Session* session, Role role) : session_(session), role_(role), me_(session->Attach(inbox_)) {}

    // Lives until the stream ends, and returns how that was; or until it is told to compute step `dies_at` (0: never),
    // and returns nothing.
    std::optional<absl::Status> Live(uint64_t dies_at) {
      session_->Receive(
          me_, Registration{.role = role_, .address = "h:1", .host = "h", .pid = 1, .capacity_bytes = 1 << 20});
      while (const std::optional<CoordinatorMessage> message = inbox_->Await()) {
        if (const auto* const welcome = std::get_if<Welcome>(&*message)) {
          id_ = welcome->id;
          if (role_ == Role::kWorker) session_->Receive(me_, DatasetReport{100, 7, 1});
        } else if (const auto* const view = std::get_if<ViewAnnouncement>(&*message)) {
          view_ = view->view;
          step_ = view->state.step;
          session_->Receive(me_, JoinedReport{.view = view_, .state = view->state});
        } else if (const auto* const decision = std::get_if<Decision>(&*message)) {
          step_ = decision->step;
          if (!Follow(decision->next, dies_at)) return std::nullopt;
        } else if (const auto* const install = std::get_if<Install>(&*message)) {
          if (!Follow(install->next, dies_at)) return std::nullopt;
        }
      }
      const absl::Status closed = inbox_->AwaitClosed();
      session_->Detach(me_, closed);
      return closed;
    }
    void Fail() {
      session_->Receive(me_, FailureReport{"no memory", static_cast<int>(absl::StatusCode::kResourceExhausted)});
    }
    void Vanish() { session_->Detach(me_, absl::CancelledError()); }

   private:
    // False: it is to die now.
    bool Follow(const Next& next, uint64_t dies_at) {
      if (next.checkpoint && (role_ == Role::kShard || id_ == 0)) {
        session_->Receive(me_, CheckpointReport{.view = view_, .step = step_});
      }
      if (next.action == NextAction::kStop) {
        session_->Receive(me_, FinishedReport{});
        return true;
      }
      if (dies_at > 0 && next.plan.step == dies_at) return false;
      session_->Receive(me_, HeartbeatReport{});
      session_->Receive(me_, ReadyVote{.view = view_, .step = next.plan.step, .loss = 1.0});
      return true;
    }

    Session* const session_;
    const Role role_;
    const std::shared_ptr<Inbox> inbox_ = std::make_shared<Inbox>();
    const Connection me_;
    uint32_t id_ = 0;
    View view_;
    uint64_t step_ = 0;
  };

  // What the dying one does at step 17.
  enum class Death { kVanishesAndIsReplaced, kFails };

  absl::Status Live(Role role, std::optional<Death> death) {
    Participant first(&session_, role);
    if (const std::optional<absl::Status> end = first.Live(death.has_value() ? 17 : 0); end.has_value()) return *end;
    if (death == Death::kFails) {
      first.Fail();
      return absl::CancelledError();
    }
    first.Vanish();
    return Participant(&session_, role).Live(0).value_or(absl::UnknownError("it died again"));
  }

  // Runs each participant in a thread of its own. Those that `deaths` numbers die.
  std::vector<absl::Status> LiveAll(std::map<uint32_t, Death> deaths = {}) {
    std::vector<absl::Status> ends(kShards + kWorkers);
    std::vector<std::thread> threads;
    for (uint32_t i = 0; i < kShards + kWorkers; ++i) {
      threads.emplace_back([&, i] {
        const auto death = deaths.find(i);
        ends[i] = Live(i < kShards ? Role::kShard : Role::kWorker,
                       death == deaths.end() ? std::nullopt : std::optional(death->second));
      });
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
  for (const absl::Status& end : LiveAll()) EXPECT_TRUE(end.ok()) << end;
  EXPECT_TRUE(result_.ok()) << result_;
  EXPECT_EQ(sink_.steps, 50u);
  EXPECT_EQ(sink_.last.phase, Phase::kFinished);
  EXPECT_EQ(sink_.last.checkpoint_step, 50u);
  EXPECT_EQ(sink_.recoveries, 0u);
}

TEST_F(SessionTest, WhoVanishesIsReplacedAndNoStepIsLost) {
  for (const absl::Status& end :
       LiveAll({{0, Death::kVanishesAndIsReplaced}, {kShards + 1, Death::kVanishesAndIsReplaced}})) {
    EXPECT_TRUE(end.ok()) << end;
  }
  EXPECT_TRUE(result_.ok()) << result_;
  EXPECT_EQ(sink_.steps, 50u);
  EXPECT_EQ(sink_.last.lost_steps, 0u);
  EXPECT_GE(sink_.recoveries, 1u);
}

TEST_F(SessionTest, TellsEverybodyOfAFailureAndEndsOnce) {
  const std::vector<absl::Status> ends = LiveAll({{kShards + 1, Death::kFails}});
  EXPECT_EQ(sink_.steps, 16u);
  EXPECT_THAT(std::string(result_.message()), StartsWith("worker "));
  EXPECT_EQ(DetailsOf(result_), (FailureDetails{.pid = 1}));
  const absl::Status told = absl::AbortedError(result_.message());  // code and details stay in the coordinator
  for (uint32_t i = 0; i < ends.size(); ++i) {
    EXPECT_EQ(ends[i], i == kShards + 1 ? absl::CancelledError() : told);
  }
}

TEST_F(SessionTest, StopsFromAnyThread) {
  std::thread stopper([&] { session_.RequestStop(); });
  std::thread other([&] { session_.RequestStop(); });
  LiveAll();
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
