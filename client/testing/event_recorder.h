#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/participant.h"
#include "common/base/mutex.h"
#include "gtest/gtest.h"

namespace arcshard::client {

// Writes down a participant's events, and checks that they come one at a time and that the end is the last one.
class EventRecorder final : public ParticipantEvents {
 public:
  absl::Status OnWelcome(const Welcome& welcome) override { return Note(absl::StrCat("welcome ", welcome.id)); }
  absl::Status OnView(const ViewAnnouncement& view) override { return Note(ToString(view.view)); }
  absl::Status OnInstall(const Install& install) override {
    return Note(absl::StrCat("install ", ToString(install.view)));
  }
  absl::Status OnDecision(const Decision& decision) override { return Note(absl::StrCat("decision ", decision.step)); }
  absl::Status OnProceed(const Proceed& proceed) override {
    return Note(proceed.next.action == NextAction::kStop ? "stop" : "evaluate");
  }
  absl::Status OnCheckpointSettled(const CheckpointSettled& settled) override {
    return Note(absl::StrCat("settled ", settled.state.step));
  }
  void OnDetached(const absl::Status& why) override {
    Note(absl::StrCat("detached ", why.ToString()), on_detached).IgnoreError();
  }
  void OnClosed(const absl::Status& status) override {
    Note(status.ToString(), on_closed).IgnoreError();
    ++ends_;
  }

  // Waits until `count` events have come; all that have come.
  std::vector<std::string> Await(size_t count) {
    MutexLock lock(&mutex_);
    while (heard_.size() < count) changed_.Wait(&mutex_);
    return heard_;
  }
  std::string AwaitLast(size_t count) { return Await(count).back(); }
  int ends() const { return ends_; }

  // Called by OnDetached and OnClosed, before Await tells of them. Set them before the participant attends.
  std::function<void()> on_detached, on_closed;
  // What every event returns.
  absl::Status answer;

 private:
  absl::Status Note(std::string what, const std::function<void()>& then = nullptr) {
    EXPECT_FALSE(busy_.exchange(true)) << what << " came during another event";
    EXPECT_EQ(ends_, 0) << what << " came after the end";
    if (then) then();
    busy_ = false;
    MutexLock lock(&mutex_);
    heard_.push_back(std::move(what));
    changed_.NotifyAll();
    return answer;
  }

  std::atomic<bool> busy_ = false;
  std::atomic<int> ends_ = 0;
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> heard_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::client
