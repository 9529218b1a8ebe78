#include "common/rpc/convert/convert_registration.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

HeldState Held() {
  const Decision last{{3, 1}, 17, Outcome::kSkip, 0.05, {NextAction::kEvaluate, {}}, 0x1717};
  return {.view = {3, 2},
          .range_ends = {322, 322, 964},
          .workers = {0, 4},
          .state = {16, 0x1616},
          .whole = true,
          .voted_step = 17,
          .last = last,
          .counters = {.skipped = 4, .verified_step = 12, .best = {0.93, 12, {"lfw"}}},
          .log_base = StatePoint{12, 0x1212}};
}

Registration Shard() {
  return {.role = Role::kShard,
          .address = "127.0.0.1:7000",
          .host = "host-a",
          .pid = 123,
          .capacity_bytes = 1 << 30,
          .held = Held(),
          .id = 2,
          .token = "sixteen bytes...",
          .spare = true};
}

// Why Held() is refused after the change; empty: it is not.
std::string Refusal(const std::function<void(v1::Held*)>& change) {
  v1::Register message = ToProto(Shard());
  change(message.mutable_held());
  const absl::Status status = FromProto(message).status();
  EXPECT_EQ(status, FromProto(message.held()).status());
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(ConvertRegistrationTest, WhatAParticipantSaysOfItselfSurvivesTheRoundTrip) {
  EXPECT_EQ(*FromProto(ToProto(Shard())), Shard());
  const Registration worker{Role::kWorker, "127.0.0.1:7000", "host-a", 123};
  EXPECT_EQ(*FromProto(ToProto(worker)), worker);
  Registration on_a_gpu = Shard();
  on_a_gpu.device_request = {"machine-1", "shard-0", {{"GPU-a", "H100", 1 << 30}, {"GPU-b"}}, "GPU-b", true};
  EXPECT_EQ(*FromProto(ToProto(on_a_gpu)), on_a_gpu);
}

TEST(ConvertRegistrationTest, WhatItHoldsSurvivesTheRoundTrip) {
  EXPECT_EQ(*FromProto(ToProto(Held())), Held());
  const HeldState nothing{.view = {3, 2}, .range_ends = {}, .workers = {}};
  EXPECT_EQ(*FromProto(ToProto(nothing)), nothing) << "of a member whose first view was announced only";
  HeldState at_first_weights = Held();
  at_first_weights.state = {};
  at_first_weights.last = std::nullopt;
  at_first_weights.log_base = StatePoint();
  EXPECT_EQ(*FromProto(ToProto(at_first_weights)), at_first_weights) << "a log from the first weights on is a log";
}

TEST(ConvertRegistrationTest, ARoleThatIsNoneIsRefused) {
  EXPECT_EQ(FromProto(v1::Register()).status().message(), "register.role is 0; it must be ROLE_SHARD or ROLE_WORKER");
}

TEST(ConvertRegistrationTest, ARegistrationThatSaysTooMuchIsRefusedByItsField) {
  const auto refusal = [](const std::function<void(v1::Register*)>& change) {
    v1::Register message;
    message.set_role(v1::ROLE_SHARD);
    change(&message);
    return std::string(FromProto(message).status().message());
  };
  const std::string lots(257, 'x');
  EXPECT_THAT(refusal([&](v1::Register* r) { r->set_host(lots); }), HasSubstr("register.host has 257 bytes"));
  EXPECT_THAT(refusal([&](v1::Register* r) { r->set_address(lots); }), HasSubstr("register.address has"));
  EXPECT_THAT(refusal([&](v1::Register* r) { r->set_token(lots); }), HasSubstr("register.token has 257 bytes"));
  EXPECT_THAT(refusal([&](v1::Register* r) { r->mutable_device_request()->set_machine(lots); }),
              HasSubstr("register.device_request.machine has"));
  EXPECT_THAT(refusal([&](v1::Register* r) { r->mutable_device_request()->add_devices()->set_name(lots); }),
              HasSubstr("register.device_request.devices.name has"));
  EXPECT_THAT(refusal([](v1::Register* r) {
                for (int i = 0; i < 257; ++i) r->mutable_device_request()->add_devices();
              }),
              HasSubstr("devices has 257 entries; at most 256"));
}

TEST(ConvertRegistrationTest, AHeldStateWithoutAViewIsRefused) {
  EXPECT_EQ(Refusal([](v1::Held* held) { held->clear_view(); }), "held.view is missing");
}

TEST(ConvertRegistrationTest, AViewWhoseMembersDoNotAscendIsRefused) {
  EXPECT_EQ(Refusal([](v1::Held* held) { held->set_range_ends(1, 321); }),
            "held.range_ends must ascend from 0, but 321 follows 322");
  EXPECT_EQ(Refusal([](v1::Held* held) { held->set_range_ends(0, -1); }),
            "held.range_ends must ascend from 0, but -1 follows 0");
  EXPECT_EQ(Refusal([](v1::Held* held) { held->set_workers(1, 0); }), "held.workers must ascend, but 0 follows 0");
}

TEST(ConvertRegistrationTest, AViewOfMoreMembersThanThereCanBeIsRefused) {
  EXPECT_EQ(Refusal([](v1::Held* held) {
              while (held->range_ends_size() < 4097) held->add_range_ends(964);
            }),
            "held.range_ends has 4097 entries; at most 4096 are taken");
  EXPECT_EQ(Refusal([](v1::Held* held) {
              for (uint32_t id = 5; held->workers_size() < 4097; ++id) held->add_workers(id);
            }),
            "held.workers has 4097 entries; at most 4096 are taken");
}

TEST(ConvertRegistrationTest, AStateAndANewestDecisionThatCannotBeTogetherAreRefused) {
  const auto at = [](uint64_t step, bool whole = true) {
    return Refusal([&](v1::Held* held) {
      held->mutable_state()->set_step(step);
      held->set_whole(whole);
    });
  };
  EXPECT_EQ(at(16), "") << "the decision is not applied yet";
  EXPECT_EQ(at(17), "");
  EXPECT_EQ(at(18), "held.state is that after step 18, but held.last is the decision about step 17");
  EXPECT_EQ(at(15), "held.state is that after step 15, but held.last is the decision about step 17");
  EXPECT_EQ(at(12, false), "") << "it is being rebuilt";
  EXPECT_EQ(at(18, false), "held.state is that after step 18, but held.last is the decision about step 17");
  EXPECT_EQ(Refusal([](v1::Held* held) {
              held->clear_last();
              held->mutable_state()->set_step(18);
            }),
            "")
      << "restored from a checkpoint";
}

TEST(ConvertRegistrationTest, DecisionsAndCountersThatAreHeldAreCheckedLikeOthers) {
  EXPECT_EQ(Refusal([](v1::Held* held) { held->mutable_last()->clear_view(); }), "decision.view is missing");
  EXPECT_EQ(Refusal([](v1::Held* held) {
              while (held->counters().best_sets_size() < 65) held->mutable_counters()->add_best_sets("lfw");
            }),
            "counters.best_sets has 65 entries; at most 64 are taken");
}

}  // namespace
}  // namespace arcshard
