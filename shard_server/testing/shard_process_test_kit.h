#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/convert/convert_messages.h"
#include "common/rpc/server_stream.h"
#include "shard_server/shard_process.h"

// For tests of ShardProcess: a coordinator over real gRPC that sends what a test tells it to.
namespace arcshard::shard {

// Serves one participant, on one stream after the other. Ends its stream with Aborted when it sends Failure, and with
// OK when it sends Finished, unless told otherwise.
class ScriptedCoordinator final : public v1::Coordinator::CallbackService {
 public:
  using Sender = std::shared_ptr<StreamSender<v1::CoordinatorMessage>>;

  grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* Attend(
      grpc::CallbackServerContext*) override {
    return ServerStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start([this](Sender sender) {
      MutexLock lock(&mutex_);
      sender_ = std::move(sender);
      return std::make_unique<Handler>(this);
    });
  }

  // Waits for the next message that is not a heartbeat.
  v1::ParticipantMessage NextMessage() {
    MutexLock lock(&mutex_);
    while (messages_.empty()) changed_.Wait(&mutex_);
    v1::ParticipantMessage message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }
  // Waits for a heartbeat that is as the caller wants it.
  void AwaitHeartbeat(const std::function<bool(const v1::ParticipantStats&)>& wanted) {
    MutexLock lock(&mutex_);
    while (!wanted(stats_)) changed_.Wait(&mutex_);
  }
  void Close(const absl::Status& status) { sender()->Close(status); }
  // From now on the stream stays open when the participant sends Failure.
  void IgnoreFailures() { answers_failures_ = false; }
  // From now on the stream stays open when the participant has finished.
  void GoOnAfterTheEnd() { ends_ = false; }
  void Say(const CoordinatorMessage& message) { sender()->Send(ToProto(message)); }
  void SayWelcome(const std::string& config_yaml, const std::string& device = "", uint32_t id = 1,
                  uint64_t incarnation = 3) {
    Say(Welcome{.id = id,
                .config_yaml = config_yaml,
                .incarnation = incarnation,
                .heartbeat_interval = absl::Milliseconds(10),
                .device = device,
                .token = absl::StrCat("token ", incarnation, " of shard ", id)});
  }

 private:
  class Handler final : public StreamHandler<v1::ParticipantMessage> {
   public:
    explicit Handler(ScriptedCoordinator* coordinator) : coordinator_(coordinator) {}
    absl::Status OnMessage(const v1::ParticipantMessage& message) override {
      {
        MutexLock lock(&coordinator_->mutex_);
        if (message.has_heartbeat()) {
          coordinator_->stats_ = message.heartbeat().stats();
        } else {
          coordinator_->messages_.push_back(message);
        }
        coordinator_->changed_.NotifyAll();
      }
      if (message.has_finished() && coordinator_->ends_) coordinator_->Close(absl::OkStatus());
      if (message.has_failure() && coordinator_->answers_failures_)
        return absl::AbortedError(absl::StrCat("shard 1: ", message.failure().sentence()));
      return absl::OkStatus();
    }
    void OnClosed(const absl::Status&) override {}

   private:
    ScriptedCoordinator* const coordinator_;
  };

  Sender sender() {
    MutexLock lock(&mutex_);
    return sender_;
  }

  std::atomic<bool> answers_failures_ = true;
  std::atomic<bool> ends_ = true;
  Mutex mutex_;
  CondVar changed_;
  Sender sender_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::ParticipantMessage> messages_ ABSL_GUARDED_BY(mutex_);
  v1::ParticipantStats stats_ ABSL_GUARDED_BY(mutex_);  // of the last heartbeat
};

class ShardProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/shard_process_test_", ::getpid(), "_",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    auto server = RpcServer::Start("127.0.0.1:0", {&coordinator_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    options_.coordinator = server_->address();
    options_.capacity_bytes = int64_t{64} << 20;
  }
  void TearDown() override {
    if (runner_.joinable()) runner_.join();
  }

  // Starts the process and reads its registration.
  v1::Register Start() {
    process_ = std::make_unique<ShardProcess>(options_, &metrics_, &clock_);
    runner_ = std::thread([this] { result_ = process_->Run(); });
    return coordinator_.NextMessage().register_();
  }
  absl::Status Result() {
    runner_.join();
    return result_;
  }
  // The coordinator may be silent for as long as a test takes.
  std::string Config(const std::string& head = "") const {
    return absl::StrCat("run: {folder: '", folder_, "'}\n",
                        "data: {train: /nowhere, batch_size: 8, micro_batch_size: 4}\n",
                        "backbone: {embedding_size: 16}\n", "head: {exp_budget_mb: 0", head, "}\n",
                        "cluster: {shards: 2, heartbeat_timeout: 1h}\n");
  }
  // View 3.`counter`, of a run that begins; this process is shard 1.
  ViewAnnouncement ViewOf(int64_t num_classes = 10, uint64_t counter = 1) const {
    ViewAnnouncement view;
    view.view = {3, counter};
    view.num_classes = num_classes;
    view.shards = {{.id = 0, .address = "127.0.0.1:1", .range = {0, 4}, .token = "token of shard 0"},
                   {.id = 1, .address = "127.0.0.1:2", .range = {4, num_classes}, .token = "token of shard 1"}};
    view.workers = {{0, "127.0.0.1:3", "token of worker0"}};
    return view;
  }
  static Install First(NextAction next, bool checkpoint = false, const View& view = {3, 1}) {
    return {.view = view, .next = {next, {}, checkpoint}};
  }
  // Announces the view and waits until the process has joined it.
  v1::Joined Join(const ViewAnnouncement& view) {
    coordinator_.Say(view);
    const v1::ParticipantMessage message = coordinator_.NextMessage();
    EXPECT_TRUE(message.has_joined()) << message.ShortDebugString();
    EXPECT_EQ(FromProto(message.joined().view()), view.view);
    EXPECT_EQ(FromProto(message.joined().state()), view.state);
    return message.joined();
  }

  std::string folder_;
  ScriptedCoordinator coordinator_;
  std::unique_ptr<RpcServer> server_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  SystemClock clock_;
  ShardProcess::Options options_;
  std::unique_ptr<ShardProcess> process_;
  std::thread runner_;
  absl::Status result_;
};

}  // namespace arcshard::shard
