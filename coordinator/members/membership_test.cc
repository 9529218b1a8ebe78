#include "coordinator/members/membership.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MembershipTest : public ::testing::Test {
 protected:
  MembershipTest() : members_(MakeOptions()) {}

  Membership::Options MakeOptions() {
    return {.shards = 2, .workers = 2, .new_token = [this] { return absl::StrCat("token ", ++tokens_); }};
  }
  static Registration RegistrationOf(Role role, Connection connection) {
    return {.role = role,
            .address = absl::StrCat("h:", connection),
            .host = "h",
            .pid = static_cast<int64_t>(1000 + connection),
            .capacity_bytes = role == Role::kShard ? uint64_t{1} << 30 : 0};
  }
  static Registration OnAGpu(Connection connection) {
    Registration registration = RegistrationOf(Role::kShard, connection);
    registration.device_request = DeviceRequest{"m", registration.address, {{"GPU-0", "H100", uint64_t{80} << 30}}};
    return registration;
  }
  const Member& Admit(Role role, Connection connection) {
    const auto member = members_.Admit(connection, RegistrationOf(role, connection), now_);
    EXPECT_TRUE(member.ok()) << member.status();
    return **member;
  }

  int tokens_ = 0;
  MonotonicTime now_ = MonotonicTime() + absl::Seconds(1000);
  Membership members_;
};

TEST_F(MembershipTest, CountsIdsWithinTheRoleAndGivesEachItsToken) {
  EXPECT_EQ(Admit(Role::kWorker, 7).Name(), "worker 0 (pid 1007 on h)");
  EXPECT_EQ(Admit(Role::kShard, 8).Name(), "shard 0 (pid 1008 on h)");
  EXPECT_EQ(Admit(Role::kWorker, 5).Name(), "worker 1 (pid 1005 on h)");
  EXPECT_EQ(members_.At(7).token, "token 1");
  EXPECT_EQ(members_.At(5).token, "token 3");
  EXPECT_EQ(members_.Find(6), nullptr);
}

TEST_F(MembershipTest, TheNextOneGetsTheLowestIdThatIsFree) {
  Admit(Role::kWorker, 1);
  EXPECT_EQ(Admit(Role::kWorker, 2).id, 1u);
  members_.Remove(1);
  EXPECT_EQ(Admit(Role::kWorker, 3).id, 0u);
  members_.Remove(2);
  EXPECT_EQ(Admit(Role::kWorker, 4).id, 1u);
  EXPECT_NE(members_.At(4).token, members_.At(3).token);
}

TEST_F(MembershipTest, AShardNeedsACapacityOfItsOwnOrOfItsGpu) {
  Registration empty = RegistrationOf(Role::kShard, 1);
  empty.capacity_bytes = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(members_.Admit(1, empty, now_).status()));
  Registration on_a_gpu = OnAGpu(2);
  on_a_gpu.capacity_bytes = 0;
  EXPECT_TRUE(members_.Admit(2, on_a_gpu, now_).ok());
  members_.Remove(2);
  on_a_gpu.device_request->devices[0].capacity_bytes = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(members_.Admit(3, on_a_gpu, now_).status()));
  EXPECT_TRUE(members_.Admit(4, OnAGpu(4), now_).ok());  // the GPU was not kept for the one that was refused
}

TEST_F(MembershipTest, RefusesOneTooManyOfARole) {
  Admit(Role::kShard, 1);
  Admit(Role::kShard, 2);
  const absl::Status status = members_.Admit(3, RegistrationOf(Role::kShard, 3), now_).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_EQ(status.message(), "the run has all its 2 shards (cluster.shards); shard (pid 1003 on h) is one too many");
  EXPECT_EQ(members_.Find(3), nullptr);
  Admit(Role::kWorker, 4);
}

TEST_F(MembershipTest, ARefusedOneTakesNoIdAwayFromTheNext) {
  Registration nowhere = RegistrationOf(Role::kShard, 1);
  nowhere.address.clear();
  EXPECT_TRUE(absl::IsInvalidArgument(members_.Admit(1, nowhere, now_).status()));
  ASSERT_TRUE(members_.Admit(2, OnAGpu(2), now_).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(members_.Admit(3, OnAGpu(3), now_).status()));
  EXPECT_EQ(Admit(Role::kShard, 4).id, 1u);
}

TEST_F(MembershipTest, AGpuBelongsToItsMemberUntilThatIsRemoved) {
  const auto first = members_.Admit(1, OnAGpu(1), now_);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->device, "GPU-0");
  EXPECT_EQ((*first)->registration.capacity_bytes, uint64_t{80} << 30);
  EXPECT_TRUE(absl::IsResourceExhausted(members_.Admit(2, OnAGpu(2), now_).status()));
  members_.Remove(1);
  EXPECT_TRUE(members_.Admit(2, OnAGpu(2), now_).ok());
  EXPECT_THAT(members_.lease_history(), ElementsAre(PastLease{"m", "GPU-0", "h:2"}));
}

TEST_F(MembershipTest, TheLowestWorkerIsTheOneOfTheViewWithTheLowestId) {
  constexpr View kView{7, 2};
  Admit(Role::kShard, 1);
  Admit(Role::kWorker, 9);
  Admit(Role::kWorker, 2);
  EXPECT_EQ(members_.LowestWorker(kView), nullptr) << "none was told of it";
  members_.At(2).view = kView;
  EXPECT_EQ(members_.LowestWorker(kView), members_.Find(2));
  members_.At(9).view = kView;
  EXPECT_EQ(members_.LowestWorker(kView), members_.Find(9));
  EXPECT_EQ(members_.Of(kView).size(), 2u);
  members_.Remove(9);
  EXPECT_EQ(members_.LowestWorker(kView), members_.Find(2));
}

TEST_F(MembershipTest, ASeatIsThatOfItsMemberUntilItIsRemoved) {
  Admit(Role::kShard, 1);
  Admit(Role::kWorker, 2);
  Admit(Role::kShard, 3);
  EXPECT_EQ(members_.At(Seat{Role::kShard, 1}), 3u);
  EXPECT_EQ(members_.At(Seat{Role::kWorker, 0}), 2u);
  members_.Remove(3);
  EXPECT_EQ(members_.At(Seat{Role::kShard, 1}), std::nullopt);
  Admit(Role::kShard, 4);
  EXPECT_EQ(members_.At(Seat{Role::kShard, 1}), 4u);
  members_.Clear();
  EXPECT_EQ(members_.At(Seat{Role::kShard, 0}), std::nullopt);
  EXPECT_EQ(members_.At(Seat{Role::kWorker, 0}), std::nullopt);
}

// --- Coming back

TEST_F(MembershipTest, WhoComesBackGetsItsSeatAndKeepsItsToken) {
  Admit(Role::kShard, 1);
  const std::string token = Admit(Role::kShard, 2).token;
  members_.Remove(1);
  members_.Remove(2);
  Registration again = RegistrationOf(Role::kShard, 3);
  again.token = token;
  EXPECT_TRUE(members_.OwnSeatIsFree(again));
  const auto member = members_.Admit(3, again, now_);
  ASSERT_TRUE(member.ok()) << member.status();
  EXPECT_EQ((*member)->id, 1u);
  EXPECT_EQ((*member)->token, token);
}

TEST_F(MembershipTest, WhoComesBackToATakenSeatGetsAnotherOrNone) {
  const std::string token = Admit(Role::kShard, 1).token;
  members_.Remove(1);
  Admit(Role::kShard, 2);  // takes seat 0
  Registration zombie = RegistrationOf(Role::kShard, 3);
  zombie.token = token;
  EXPECT_FALSE(members_.OwnSeatIsFree(zombie));
  EXPECT_EQ(members_.SeatFor(zombie), (Seat{Role::kShard, 1}));
  Admit(Role::kShard, 4);
  EXPECT_EQ(members_.SeatFor(zombie), std::nullopt);
  EXPECT_TRUE(absl::IsFailedPrecondition(members_.Admit(3, zombie, now_).status()));
}

TEST_F(MembershipTest, TheSameProcessIsKnownByItsTokenOnAnotherStream) {
  Registration again = RegistrationOf(Role::kWorker, 3);
  again.token = Admit(Role::kWorker, 1).token;
  EXPECT_EQ(members_.SameProcess(again), 1u);
  again.role = Role::kShard;
  EXPECT_EQ(members_.SameProcess(again), std::nullopt);
  EXPECT_EQ(members_.SameProcess(RegistrationOf(Role::kWorker, 4)), std::nullopt) << "who has no token is nobody else";
}

TEST_F(MembershipTest, WithoutTokensAStateSaysWhichSeatItsHolderHad) {
  Registration back = RegistrationOf(Role::kShard, 1);
  back.id = 1;
  back.token = "of an earlier coordinator";
  EXPECT_EQ(members_.SeatFor(back), (Seat{Role::kShard, 0}));
  back.held = HeldState{.view = {6, 1}, .range_ends = {5, 9}, .workers = {0}};
  EXPECT_EQ(members_.SeatFor(back), (Seat{Role::kShard, 1}));
  const auto member = members_.Admit(1, back, now_);
  ASSERT_TRUE(member.ok()) << member.status();
  EXPECT_EQ((*member)->token, "of an earlier coordinator") << "it may come again before its Welcome has arrived";
  EXPECT_EQ((*member)->range, (ClassRange{5, 9}));
  EXPECT_EQ((*member)->held->view, (View{6, 1}));
  back.id = 17;
  EXPECT_EQ(members_.SeatFor(back), (Seat{Role::kShard, 0}));
}

TEST_F(MembershipTest, AHolderOutranksWhoHoldsNothingOrSomethingElseInItsSeat) {
  Registration holder = RegistrationOf(Role::kShard, 9);
  holder.id = 0;
  holder.token = "t";
  holder.held = HeldState{.view = {6, 2}, .range_ends = {5, 9}, .workers = {0}};
  EXPECT_EQ(members_.Outranked(holder), std::nullopt) << "the seat is free";
  Admit(Role::kShard, 1);
  EXPECT_EQ(members_.Outranked(holder), 1u);
  Member& member = members_.At(1);
  member.held = holder.held;
  member.registration.id = 1;
  EXPECT_EQ(members_.Outranked(holder), 1u) << "it holds the classes of seat 1";
  member.registration.id = 0;
  EXPECT_EQ(members_.Outranked(holder), std::nullopt);
  member.held->view = {6, 1};
  EXPECT_EQ(members_.Outranked(holder), 1u) << "it was away when the newest view was announced";
  member.view = {7, 1};
  EXPECT_EQ(members_.Outranked(holder), std::nullopt) << "it takes part by now";
  holder.held.reset();
  member.view = {};
  EXPECT_EQ(members_.Outranked(holder), std::nullopt);
}

TEST_F(MembershipTest, ABarredWorkerIsKnownByItsTokenUntilItsTimeIsOver) {
  const Member& worker = Admit(Role::kWorker, 1);
  EXPECT_FALSE(members_.IsBarred(worker, now_));
  members_.Bar(worker.token, now_ + absl::Minutes(1));
  EXPECT_TRUE(members_.IsBarred(worker, now_));
  EXPECT_FALSE(members_.IsBarred(worker, now_ + absl::Minutes(1)));
}

TEST_F(MembershipTest, CountsWhoIsHereAndWhoseDataIsKnown) {
  Admit(Role::kShard, 1);
  Admit(Role::kWorker, 2);
  Admit(Role::kWorker, 3);
  members_.At(3).data = DatasetReport{100, 9, 42};
  const MemberCounts counts = members_.Counts();
  EXPECT_EQ(counts.shards_wanted, 2u);
  EXPECT_EQ(counts.shards_here, 1u);
  EXPECT_EQ(counts.workers_here, 2u);
  EXPECT_EQ(counts.datasets_here, 1u);
}

TEST_F(MembershipTest, SilenceIsTimeSinceTheLastMessage) {
  Admit(Role::kShard, 1);
  Admit(Role::kWorker, 2);
  members_.At(2).last_heard = now_ + absl::Seconds(5);
  now_ += absl::Seconds(8);
  EXPECT_THAT(members_.SilentFor(absl::Seconds(8), now_), IsEmpty());
  EXPECT_THAT(members_.SilentFor(absl::Seconds(7), now_), ElementsAre(1));
  EXPECT_THAT(members_.SilentFor(absl::Seconds(2), now_), ElementsAre(1, 2));
}

TEST_F(MembershipTest, TimeInWhichThisProcessDidNotListenIsNoSilence) {
  Admit(Role::kShard, 1);
  now_ += absl::Minutes(3);
  members_.ForgiveSilence(absl::Minutes(3));
  EXPECT_THAT(members_.SilentFor(absl::Seconds(1), now_), IsEmpty());
}

}  // namespace
}  // namespace arcshard::coordinator
