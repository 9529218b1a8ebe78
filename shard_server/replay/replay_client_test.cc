// ReplayClient and the calls of Shard.Replay, over real gRPC on loopback.
#include "shard_server/replay/replay_client.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <thread>

#include "arcshard/v1/shard.grpc.pb.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/status.h"
#include "shard_server/replay/testing/log_peer.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The embedding has 1.7 MiB, and the inputs are more than fits one message.
const RecordShape kLarge{.sizes = {90'000, 8}};

// Keeps what a client passes on.
class Receiver {
 public:
  ReplayClient::Options Options() {
    return {.security = {},
            .on_record =
                [this](const View&, std::shared_ptr<const ReplayRecord> record) {
                  MutexLock lock(&mutex_);
                  EXPECT_LE(record->after.step, applied_ + ReplayClient::kMostAhead);
                  if (!refuses_.ok()) return refuses_;
                  records_.push_back(std::move(record));
                  changed_.NotifyAll();
                  return absl::OkStatus();
                },
            .on_ended =
                [this](const View&, const absl::Status& status) {
                  MutexLock lock(&mutex_);
                  ends_.push_back(status);
                  changed_.NotifyAll();
                }};
  }
  // From now on `step` is applied.
  void SetApplied(uint64_t step) {
    MutexLock lock(&mutex_);
    applied_ = step;
  }
  void RefuseWith(const absl::Status& why) {
    MutexLock lock(&mutex_);
    refuses_ = why;
  }
  void Await(size_t records) {
    MutexLock lock(&mutex_);
    while (records_.size() < records && ends_.empty()) changed_.Wait(&mutex_);
  }
  absl::Status AwaitEnd() {
    MutexLock lock(&mutex_);
    while (ends_.empty()) changed_.Wait(&mutex_);
    return ends_.front();
  }
  std::vector<uint64_t> Steps() {
    MutexLock lock(&mutex_);
    std::vector<uint64_t> steps;
    for (const auto& record : records_) steps.push_back(record->after.step);
    return steps;
  }
  std::vector<std::shared_ptr<const ReplayRecord>> Records() {
    MutexLock lock(&mutex_);
    return records_;
  }
  size_t Ends() {
    MutexLock lock(&mutex_);
    return ends_.size();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  uint64_t applied_ ABSL_GUARDED_BY(mutex_) = 1'000'000;  // no limit
  absl::Status refuses_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<const ReplayRecord>> records_ ABSL_GUARDED_BY(mutex_);
  std::vector<absl::Status> ends_ ABSL_GUARDED_BY(mutex_);
};

class ReplayClientTest : public testing::Test {
 protected:
  void Hold(uint64_t steps, const RecordShape& shape = {}) {
    records_ = RecordsThrough(steps, shape);
    peer_ = std::make_unique<LogPeer>(records_);
    peer_->Announce(peer_->ViewOf(2));
    peer_->AwaitJoined({3, 2});
  }
  StatePoint PointAt(uint64_t step) const { return step == 0 ? StatePoint{} : records_[step - 1]->after; }
  // Shard 2 asks for the steps after `after` up to `until`.
  ReplayOrder Order(uint64_t after, uint64_t until, uint64_t counter = 2) const {
    return {.view = {3, counter},
            .shard = 2,
            .token = peer_->ViewOf(2).shards[2].token,
            .peer = 0,
            .address = peer_->address(),
            .after = PointAt(after),
            .until = until,
            .limits = {RecordShape().dim, 100'000, kRecordClasses}};
  }
  // The client passes on as many as come.
  void Begin(const ReplayOrder& order) {
    client_.Begin(order);
    client_.Applied(1'000'000);
  }
  void ExpectEnd(absl::StatusCode code, const std::string& part) {
    const absl::Status end = receiver_.AwaitEnd();
    EXPECT_EQ(end.code(), code) << end;
    EXPECT_THAT(std::string(end.message()), HasSubstr(part));
  }

  std::vector<std::shared_ptr<const ReplayRecord>> records_;
  std::unique_ptr<LogPeer> peer_;
  Receiver receiver_;
  ReplayClient client_{receiver_.Options()};
};

TEST_F(ReplayClientTest, AllRecordsComeInOrderBitByBit) {
  Hold(5);
  Begin(Order(0, 5));
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  const auto received = receiver_.Records();
  ASSERT_EQ(received.size(), 5u);
  for (size_t i = 0; i < 5; ++i) EXPECT_TRUE(SameRecord(*received[i], *records_[i])) << i;
}

TEST_F(ReplayClientTest, SoDoThoseOfSeveralMiB) {
  Hold(2, kLarge);
  Begin(Order(0, 2));
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  const auto received = receiver_.Records();
  ASSERT_EQ(received.size(), 2u);
  EXPECT_TRUE(SameRecord(*received[1], *records_[1]));
}

TEST_F(ReplayClientTest, OnlyTheStepsThatWereAskedForCome) {
  Hold(5);
  Begin(Order(2, 4));
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  EXPECT_THAT(receiver_.Steps(), ElementsAre(3u, 4u));
}

TEST_F(ReplayClientTest, WhereNothingIsMissingNothingComes) {
  Hold(3);
  Begin(Order(3, 3));
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  EXPECT_THAT(receiver_.Steps(), IsEmpty());
}

TEST_F(ReplayClientTest, ItIsNeverMoreThanTwoRecordsAhead) {
  Hold(6);
  receiver_.SetApplied(0);  // the receiver checks each record against it
  client_.Begin(Order(0, 6));
  receiver_.Await(2);
  for (uint64_t step = 1; step <= 6; ++step) {
    receiver_.SetApplied(step);
    client_.Applied(step);
    receiver_.Await(std::min<size_t>(step + 2, 6));
  }
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u, 2u, 3u, 4u, 5u, 6u));
}

TEST_F(ReplayClientTest, AnotherOrderReplacesTheOneBeforeOfWhichNothingComesAnyMore) {
  Hold(6);
  client_.Begin(Order(0, 6));
  receiver_.Await(2);  // and it pauses
  Begin(Order(4, 6));
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u, 2u, 5u, 6u));
  EXPECT_EQ(receiver_.Ends(), 1u);
}

TEST_F(ReplayClientTest, AnOrderIsReplacedAtAnyMoment) {
  Hold(6);
  for (int i = 0; i < 50; ++i) {
    Begin(Order(0, 6));
    const std::vector<uint64_t> before = receiver_.Steps();
    Begin(Order(6, 6));
    // What came meanwhile is of the first order; nothing of it comes once the second has begun.
    const size_t count = receiver_.Steps().size();
    EXPECT_GE(count, before.size());
    client_.Cancel();
    EXPECT_EQ(receiver_.Steps().size(), count);
  }
}

TEST_F(ReplayClientTest, WhenItIsCancelledNothingMoreComes) {
  Hold(6);
  client_.Begin(Order(0, 6));
  receiver_.Await(2);
  client_.Cancel();
  client_.Applied(6);
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u, 2u));
  EXPECT_EQ(receiver_.Ends(), 0u);
  Begin(Order(2, 3));  // and it can be used again
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u, 2u, 3u));
}

TEST_F(ReplayClientTest, ItCanBeDestroyedWhileItReadsPausesOrWaits) {
  Hold(6);
  struct Moment {
    uint64_t counter;  // of the view; the peer waits for one that it does not know
    size_t records;
  };
  for (const Moment& moment : {Moment{2, 0}, Moment{2, 2}, Moment{9, 0}}) {
    Receiver receiver;
    auto client = std::make_unique<ReplayClient>(receiver.Options());
    client->Begin(Order(0, 6, moment.counter));
    receiver.Await(moment.records);
    client.reset();
    EXPECT_EQ(receiver.Ends(), 0u);
  }
}

TEST_F(ReplayClientTest, ARecordThatTheStateRefusesEndsTheReplayWithItsError) {
  Hold(4);
  receiver_.RefuseWith(absl::FailedPreconditionError("not wanted"));
  Begin(Order(0, 4));
  ExpectEnd(absl::StatusCode::kFailedPrecondition, "the replay from shard 0 at 127.0.0.1:");
  EXPECT_THAT(std::string(receiver_.AwaitEnd().message()), HasSubstr("not wanted"));
  EXPECT_THAT(receiver_.Steps(), IsEmpty());
}

TEST_F(ReplayClientTest, APeerThatIsGoneIsUnavailable) {
  Hold(2);
  const ReplayOrder order = Order(0, 2);
  peer_->Stop();
  Begin(order);
  ExpectEnd(absl::StatusCode::kUnavailable, "the replay from shard 0 at");
}

TEST_F(ReplayClientTest, APeerThatDiesInTheMiddleIsNoticed) {
  Hold(12, kLarge);  // more than what may be on its way when this shard pauses
  client_.Begin(Order(0, 12));
  receiver_.Await(2);
  peer_->Stop();
  client_.Applied(12);
  EXPECT_FALSE(receiver_.AwaitEnd().ok());
  EXPECT_EQ(receiver_.Ends(), 1u);
}

TEST_F(ReplayClientTest, AnotherHistoryOrAnOlderStepThanTheLogHasIsNotFound) {
  Hold(4);
  ReplayOrder order = Order(2, 4);
  order.after.lineage ^= 1;
  Begin(order);
  ExpectEnd(absl::StatusCode::kNotFound, "the replay from shard 0");
  EXPECT_THAT(receiver_.Steps(), IsEmpty());
}

TEST_F(ReplayClientTest, AnotherTokenIsRefused) {
  Hold(2);
  ReplayOrder order = Order(0, 2);
  order.token = peer_->ViewOf(2).shards[1].token;
  Begin(order);
  ExpectEnd(absl::StatusCode::kPermissionDenied, "the replay for shard 2 was asked for without the token");
  EXPECT_EQ(peer_->metrics().refused_messages.With("PERMISSION_DENIED").Value(), 1.0);
}

TEST_F(ReplayClientTest, WhoIsNotInTheViewIsRefused) {
  Hold(2);
  ReplayOrder order = Order(0, 2);
  order.shard = 7;
  Begin(order);
  ExpectEnd(absl::StatusCode::kInvalidArgument, "view 3.2 has no shard 7");
}

TEST_F(ReplayClientTest, AnOlderViewIsRefused) {
  Hold(2);
  Begin(Order(0, 2, /*counter=*/1));
  ExpectEnd(absl::StatusCode::kFailedPrecondition, "asked for in view 3.1, but this shard is in view 3.2");
}

TEST_F(ReplayClientTest, AShardThatHasNoLogRefuses) {
  Hold(2);
  peer_->OnlyAdmit(peer_->ViewOf(3, /*has_log=*/false));
  Begin(Order(0, 2, 3));
  ExpectEnd(absl::StatusCode::kFailedPrecondition, "this shard has no log that leads from the base of view 3.3");
}

TEST_F(ReplayClientTest, ACallOfANewerViewWaitsForTheViewAndUntilTheShardHasJoinedIt) {
  Hold(3);
  Begin(Order(0, 3, 3));
  while (peer_->metrics().messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  const ViewAnnouncement view = peer_->ViewOf(3);
  peer_->OnlyAdmit(view);
  EXPECT_THAT(receiver_.Steps(), IsEmpty());
  peer_->OnlyJoin(view);
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u, 2u, 3u));
}

TEST_F(ReplayClientTest, ACallThatWaitedForAViewIsRefusedIfItsTokenIsNotTheViews) {
  Hold(3);
  ReplayOrder order = Order(0, 3, 3);
  order.token = peer_->ViewOf(2).shards[1].token;
  Begin(order);
  while (peer_->metrics().messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  peer_->Announce(peer_->ViewOf(3));
  ExpectEnd(absl::StatusCode::kPermissionDenied, "without the token");
  EXPECT_THAT(receiver_.Steps(), IsEmpty());
}

TEST_F(ReplayClientTest, ANewerViewEndsTheCallsThatWaitForAnOlderOne) {
  Hold(3);
  Begin(Order(0, 3, 3));
  while (peer_->metrics().messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  peer_->Announce(peer_->ViewOf(4));
  ExpectEnd(absl::StatusCode::kFailedPrecondition, "asked for in view 3.3, but this shard is in view 3.4");
}

// --- Without the client: what a peer of another kind may do

class RawCall {
 public:
  RawCall(const std::shared_ptr<grpc::Channel>& channel, const View& view, const std::string& token) {
    v1::ReplayRequest request;
    *request.mutable_view() = ToProto(view);
    request.set_shard(2);
    request.set_token(token);
    request.set_until(100);
    stub_ = v1::Shard::NewStub(channel);
    reader_ = stub_->Replay(&context_, request);
  }
  ~RawCall() {
    if (reader_ == nullptr) return;
    context_.TryCancel();
    End().IgnoreError();
  }
  // Reads to the end.
  absl::Status End() {
    v1::ReplayPiece piece;
    while (reader_->Read(&piece)) ++pieces_;
    const absl::Status end = FromGrpcStatus(reader_->Finish());
    reader_.reset();
    return end;
  }
  int pieces() const { return pieces_; }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::Shard::Stub> stub_;
  std::unique_ptr<grpc::ClientReader<v1::ReplayPiece>> reader_;
  int pieces_ = 0;
};

class RawReplayTest : public ReplayClientTest {
 protected:
  // A channel that shares no connection with others.
  std::shared_ptr<grpc::Channel> Channel() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(peer_->address(), grpc::InsecureChannelCredentials(), arguments);
  }
  std::string Token() const { return peer_->ViewOf(2).shards[2].token; }
};

TEST_F(RawReplayTest, AFurtherCallOfTheSameShardEndsTheOneBefore) {
  Hold(3, {.sizes = {900, 90}});
  peer_->OnlyAdmit(peer_->ViewOf(3));  // calls wait: the state has not joined it
  RawCall first(Channel(), {3, 3}, Token());
  while (peer_->metrics().messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  RawCall second(Channel(), {3, 3}, Token());
  const absl::Status end = first.End();
  EXPECT_EQ(end.code(), absl::StatusCode::kAborted) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("shard 2 has asked again"));
  peer_->OnlyJoin(peer_->ViewOf(3));
  EXPECT_TRUE(second.End().ok());
  EXPECT_EQ(second.pieces(), 3 * (1 + 2 + 2));
}

TEST_F(RawReplayTest, ThoseThatWaitForAViewThatNeverComesMakeRoomForOthers) {
  Hold(1);
  std::vector<std::unique_ptr<RawCall>> calls;
  std::shared_ptr<grpc::Channel> channel;
  for (size_t i = 0; i <= ReplayStreams::kMostEarly; ++i) {
    if (i % kMostStreams == 0) channel = Channel();
    calls.push_back(std::make_unique<RawCall>(channel, View{9, 9}, Token()));
    while (peer_->metrics().messages.With(kReceived).Value() < static_cast<double>(i + 1)) std::this_thread::yield();
  }
  const absl::Status end = calls.front()->End();
  EXPECT_EQ(end.code(), absl::StatusCode::kResourceExhausted) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("more than 32 replays wait for a view"));
}

TEST_F(RawReplayTest, ATokenThatIsNoneIsRefusedAtOnce) {
  Hold(1);
  RawCall call(Channel(), {9, 9}, std::string(1'000'000, 'x'));
  EXPECT_EQ(call.End().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(RawReplayTest, AReaderThatStopsReadingHarmsNobodyAndIsEndedByANewerView) {
  Hold(12, kLarge);
  RawCall idle(Channel(), {3, 2}, Token());
  while (peer_->metrics().messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  ReplayOrder order = Order(0, 12);
  order.shard = 1;
  order.token = peer_->ViewOf(2).shards[1].token;
  Begin(order);
  EXPECT_TRUE(receiver_.AwaitEnd().ok()) << receiver_.AwaitEnd();
  peer_->Announce(peer_->ViewOf(3));
  const absl::Status end = idle.End();
  EXPECT_EQ(end.code(), absl::StatusCode::kFailedPrecondition) << end;
}

// A peer that sends what it is told to.
class ScriptedPeer final : public v1::Shard::CallbackService {
 public:
  std::vector<v1::ReplayPiece> pieces;
  absl::Status end;

  grpc::ServerWriteReactor<v1::ReplayPiece>* Replay(grpc::CallbackServerContext*,
                                                    const v1::ReplayRequest* request) override {
    request_ = *request;
    return new Stream(this);
  }
  const v1::ReplayRequest& request() const { return request_; }

 private:
  class Stream final : public grpc::ServerWriteReactor<v1::ReplayPiece> {
   public:
    explicit Stream(ScriptedPeer* peer) : peer_(peer) { OnWriteDone(true); }
    void OnWriteDone(bool ok) override {
      if (ok && next_ < peer_->pieces.size()) return StartWrite(&peer_->pieces[next_++]);
      Finish(ToGrpcStatus(ok ? peer_->end : absl::CancelledError("the call broke")));
    }
    void OnDone() override { delete this; }

   private:
    ScriptedPeer* const peer_;
    size_t next_ = 0;
  };
  v1::ReplayRequest request_;
};

class ScriptedReplayTest : public testing::Test {
 protected:
  void SetUp() override {
    server_ = *RpcServer::Start("127.0.0.1:0", {&peer_});
    records_ = RecordsThrough(3);
    for (const auto& record : records_) {
      for (const v1::ReplayPiece& piece : MessagesOf(record)) peer_.pieces.push_back(piece);
    }
  }
  // Asks for the steps 1 to `until`; returns how that ended.
  absl::Status Replay(uint64_t until) {
    client_.Begin({.view = {3, 2},
                   .shard = 2,
                   .token = "its token",
                   .peer = 5,
                   .address = server_->address(),
                   .after = {},
                   .until = until,
                   .limits = {RecordShape().dim, 1000, kRecordClasses}});
    client_.Applied(1000);
    return receiver_.AwaitEnd();
  }

  ScriptedPeer peer_;
  std::unique_ptr<RpcServer> server_;
  std::vector<std::shared_ptr<const ReplayRecord>> records_;
  Receiver receiver_;
  ReplayClient client_{receiver_.Options()};
};

TEST_F(ScriptedReplayTest, TheRequestSaysWhoAsksAndForWhat) {
  EXPECT_TRUE(Replay(3).ok());
  EXPECT_EQ(FromProto(peer_.request().view()), (View{3, 2}));
  EXPECT_EQ(peer_.request().shard(), 2u);
  EXPECT_EQ(peer_.request().token(), "its token");
  EXPECT_EQ(FromProto(peer_.request().after()), StatePoint());
  EXPECT_EQ(peer_.request().until(), 3u);
}

TEST_F(ScriptedReplayTest, APeerThatEndsEarlyIsNotBelieved) {
  peer_.pieces.resize(MessagesOf(records_[0]).size());
  const absl::Status end = Replay(3);
  EXPECT_EQ(end.code(), absl::StatusCode::kDataLoss) << end;
  EXPECT_THAT(std::string(end.message()),
              HasSubstr("it ended after the record of step 1, those up to step 3 were asked"));
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u));
}

TEST_F(ScriptedReplayTest, NorIsOneThatEndsInTheMiddleOfARecord) {
  peer_.pieces.pop_back();
  const absl::Status end = Replay(3);
  EXPECT_EQ(end.code(), absl::StatusCode::kDataLoss) << end;
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u, 2u));
}

TEST_F(ScriptedReplayTest, MoreThanWasAskedForIsRefused) {
  const absl::Status end = Replay(2);
  EXPECT_EQ(end.code(), absl::StatusCode::kInvalidArgument) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("step 3 came, those up to step 2 were asked for"));
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u, 2u));
}

TEST_F(ScriptedReplayTest, ADamagedRecordEndsTheReplayAndIsNotPassedOn) {
  const size_t second = MessagesOf(records_[0]).size();
  peer_.pieces[second].mutable_header()->set_lr(-1);
  const absl::Status end = Replay(3);
  EXPECT_EQ(end.code(), absl::StatusCode::kInvalidArgument) << end;
  EXPECT_THAT(std::string(end.message()), HasSubstr("the replay from shard 5 at"));
  EXPECT_THAT(receiver_.Steps(), ElementsAre(1u));
  EXPECT_EQ(receiver_.Ends(), 1u);
}

TEST_F(ScriptedReplayTest, ThePeersOwnErrorIsPassedOn) {
  peer_.pieces.clear();
  peer_.end = absl::NotFoundError("the log begins after step 7");
  const absl::Status end = Replay(3);
  EXPECT_EQ(end.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(end.message()), HasSubstr("the log begins after step 7"));
}

}  // namespace
}  // namespace arcshard::shard
