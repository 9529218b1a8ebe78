#include "cli/status/status_text.h"

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "cli/display/terminal.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace arcshard::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kAddress[] = "127.0.0.1:4711";

v1::MemberStatus* AddMember(v1::RunStatus* status, v1::Role role, uint32_t id) {
  v1::MemberStatus* member = status->add_members();
  member->set_role(role);
  member->set_id(id);
  member->set_host("vm");
  member->set_pid(100 + status->members_size());
  member->set_address(absl::StrCat("127.0.0.1:500", status->members_size()));
  member->set_attending_seconds(65);
  member->set_silent_seconds(0.25);
  member->set_resident_bytes(uint64_t{100} << 20);
  return member;
}

void AddPhase(v1::MemberStatus* member, const std::string& name, uint64_t count, double seconds) {
  v1::PhaseTime* phase = member->add_recent_phases();
  phase->set_name(name);
  phase->set_count(count);
  phase->set_seconds(seconds);
}

v1::RunStatus Training() {
  v1::RunStatus status;
  status.set_run_folder("/runs/a");
  status.mutable_coordinator()->set_pid(100);
  status.mutable_coordinator()->set_host("vm");
  status.mutable_coordinator()->set_resident_bytes(uint64_t{50} << 20);
  status.mutable_view()->set_incarnation(2);
  status.mutable_view()->set_counter(1);
  status.set_num_classes(964);
  status.mutable_progress()->set_phase(v1::Progress::PHASE_TRAINING);
  status.mutable_progress()->set_step(7);
  status.mutable_progress()->set_steps(100);
  status.mutable_progress()->set_epochs(2);
  for (uint32_t id = 0; id < 2; ++id) {
    v1::MemberStatus* shard = AddMember(&status, v1::ROLE_SHARD, id);
    shard->mutable_range()->set_begin(id * 482);
    shard->mutable_range()->set_end((id + 1) * 482);
    shard->set_held_bytes(uint64_t{4} << 20);
    shard->set_capacity_bytes(uint64_t{20} << 30);
    AddPhase(shard, "pass_1", 4, 0.004 * (id + 1));
  }
  AddPhase(AddMember(&status, v1::ROLE_WORKER, 0), "forward", 10, 0.5);
  return status;
}

TEST(StatusTextTest, TellsOfTheRunItsMembersAndTheirPhases) {
  EXPECT_EQ(StatusText(Training(), kAddress),
            "run /runs/a, coordinator 127.0.0.1:4711 (pid 100 on vm, 50.0 MiB resident)\n"
            "epoch 0.00/2  step 7/100  loss 0.0000  cos 0.000  lr 0\n"
            "view 2.1, 964 classes\n"
            "a shard that is lost now takes the run back to its first weights: it has no checkpoint yet\n"
            "\n"
            "member    pid  host  address         classes        held  capacity   resident  attending  last sign\n"
            "shard 0   101  vm    127.0.0.1:5001  [0, 482)    4.0 MiB  20.0 GiB  100.0 MiB       1m5s   0.2s ago\n"
            "shard 1   102  vm    127.0.0.1:5002  [482, 964)  4.0 MiB  20.0 GiB  100.0 MiB       1m5s   0.2s ago\n"
            "worker 0  103  vm    127.0.0.1:5003  -                 -         -  100.0 MiB       1m5s   0.2s ago\n"
            "\n"
            "recent   phase        mean  slowest\n"
            "workers  forward  50.00 ms  50.00 ms (worker 0)\n"
            "shards   pass_1    1.50 ms  2.00 ms (shard 1)\n");
}

TEST(StatusTextTest, ANarrowTerminalSeesWhatMattersMost) {
  const std::string text = StatusText(Training(), kAddress, {.width = 60});
  EXPECT_THAT(text, HasSubstr("member    host  classes        held   resident  last sign\n"
                              "shard 0   vm    [0, 482)    4.0 MiB  100.0 MiB   0.2s ago\n"));
  for (size_t width = 0; width < 130; ++width) {
    for (const absl::string_view line : absl::StrSplit(StatusText(Training(), kAddress, {.width = width}), '\n')) {
      EXPECT_LE(absl::StartsWith(line, "view ") ? 0 : line.size(), width) << line;
    }
  }
}

TEST(StatusTextTest, ATerminalShowsABarAndFaintNamesOfColumns) {
  const std::string text = StatusText(Training(), kAddress, {.width = 120, .colours = true, .bar = true});
  EXPECT_THAT(text, HasSubstr("\x1b[1mrun /runs/a, coordinator"));
  EXPECT_THAT(text, HasSubstr("  7%  epoch 0.00/2  step 7/100"));
  EXPECT_THAT(text, HasSubstr("\x1b[2mrecent   phase        mean  slowest\x1b[0m\n"));
}

TEST(StatusTextTest, BeforeTheViewItSaysWhomTheRunWaitsFor) {
  v1::RunStatus status;
  status.set_run_folder("/runs/a");
  status.mutable_progress()->set_phase(v1::Progress::PHASE_GATHERING);
  status.mutable_progress()->set_waiting_for("waiting for 1 of 2 shards");
  AddMember(&status, v1::ROLE_SHARD, 0);
  const std::string text = StatusText(status, kAddress);
  EXPECT_THAT(text, HasSubstr("\nwaiting for 1 of 2 shards\n"));
  EXPECT_THAT(text, HasSubstr("127.0.0.1:5001  -           -         -  100.0 MiB"));
  EXPECT_THAT(text, Not(HasSubstr("view")));
  EXPECT_THAT(text, Not(HasSubstr("recent")));
}

TEST(StatusTextTest, DuringAVerificationItSaysHowTheTrainingStands) {
  v1::RunStatus status = Training();
  status.mutable_progress()->set_phase(v1::Progress::PHASE_EVALUATING);
  EXPECT_THAT(StatusText(status, kAddress), HasSubstr("\nverifying after step 7\nepoch 0.00/2  step 7/100  loss"));
}

TEST(StatusTextTest, TellsOfTheLastCheckpointAndOfAFailure) {
  v1::RunStatus status = Training();
  status.mutable_progress()->set_checkpoint_step(5);
  status.set_checkpoint_age_seconds(192);
  EXPECT_THAT(StatusText(status, kAddress),
              HasSubstr("\nlast checkpoint: step 5, 3m12s ago\n"
                        "a shard that is lost now takes the run back to step 5, its last checkpoint\n\nmember "));
  status.mutable_progress()->set_checkpoint_failure("step 6: the disk is full");
  EXPECT_THAT(StatusText(status, kAddress),
              HasSubstr(" ago\nthe latest checkpoint failed: step 6: the disk is full\na shard that "));
}

TEST(StatusTextTest, TellsOfRecoveriesAndWhatTheLossOfAShardWouldCost) {
  v1::RunStatus status = Training();
  v1::Progress* progress = status.mutable_progress();
  progress->set_recoveries(2);
  progress->set_lost_steps(3);
  progress->set_last_recovery("worker 0\x1b was lost; the run goes on after step 6, 2s later");
  progress->set_recoverable(true);
  EXPECT_THAT(StatusText(status, kAddress),
              HasSubstr("\nsince the coordinator's last start: recovered 2 times, 3 steps were lost\n"
                        "the last time: worker 0\\x1b was lost; the run goes on after step 6, 2s later\n"
                        "a shard that is lost now is rebuilt from the logs of others: no step is lost\n\nmember "));
  status.mutable_view()->set_incarnation(1);
  EXPECT_THAT(StatusText(status, kAddress), HasSubstr("\nrecovered 2 times, 3 steps were lost\n"));
}

TEST(StatusTextTest, WhileItRecoversItSaysWhatWasLostAndNothingOfFurtherLosses) {
  v1::RunStatus status = Training();
  status.mutable_progress()->set_phase(v1::Progress::PHASE_RECOVERING);
  status.mutable_progress()->set_waiting_for("shard 1 was lost at step 7; waiting for 1 of 2 shards");
  const std::string text = StatusText(status, kAddress);
  EXPECT_THAT(text, HasSubstr("\nrecovering: shard 1 was lost at step 7; waiting for 1 of 2 shards\nepoch 0.00/2 "));
  EXPECT_THAT(text, Not(HasSubstr("a shard that is lost now")));
}

TEST(StatusTextTest, TellsOfAnIncompleteVerification) {
  v1::RunStatus status = Training();
  status.mutable_progress()->set_verification_failure("lfw.bin: image 3 is damaged");
  EXPECT_THAT(StatusText(status, kAddress),
              HasSubstr("\nthe latest verification is incomplete: lfw.bin: image 3 is damaged\n\nmember "));
}

TEST(StatusTextTest, SentencesAndVerificationsAreWholeHoweverNarrowTheTerminal) {
  v1::RunStatus status = Training();
  v1::Progress* progress = status.mutable_progress();
  progress->set_checkpoint_failure("step 6: the disk is full");
  progress->set_verification_failure("lfw.bin: image 3 is damaged");
  progress->set_recoveries(1);
  progress->set_last_recovery("worker 0 (pid 12 on vm) was lost at step 4: stream broken");
  progress->set_verification_step(5);
  progress->add_verification()->set_name("lfw");
  const std::vector<std::string> wide = absl::StrSplit(StatusText(status, kAddress), '\n');
  for (const size_t width : {24u, 40u, 60u}) {
    const std::string text = StatusText(status, kAddress, {.width = width});
    for (const absl::string_view line : absl::StrSplit(text, '\n')) EXPECT_LE(Columns(line), width) << line;
    const std::string unwrapped = absl::StrReplaceAll(text, {{"\n", " "}});
    int whole = 0;
    for (const std::string& line : wide) {
      const bool sentence = absl::StartsWith(line, "the l") || absl::StartsWith(line, "a shard that");
      if (!sentence && !absl::StrContains(line, "accuracy")) continue;
      EXPECT_THAT(unwrapped, HasSubstr(line)) << "at width " << width;
      ++whole;
    }
    EXPECT_EQ(whole, 6);
  }
}

TEST(StatusTextTest, TheLatestVerificationComesLast) {
  v1::RunStatus status = Training();
  status.mutable_progress()->set_verification_step(5);
  status.mutable_progress()->add_verification()->set_name("lfw");
  EXPECT_THAT(StatusText(status, kAddress), HasSubstr("\n\nstep 5 lfw: accuracy 0.0000"));
}

TEST(StatusTextTest, NamesOfOthersCannotMoveTheCursor) {
  v1::RunStatus status = Training();
  status.mutable_members(0)->set_host("a\x1b[2Jb\n");
  EXPECT_THAT(StatusText(status, kAddress), HasSubstr("a\\x1b[2Jb"));
}

TEST(StatusJsonTest, ARunThatRecoversIsInThatPhase) {
  v1::RunStatus status = Training();
  status.mutable_progress()->set_phase(v1::Progress::PHASE_RECOVERING);
  EXPECT_EQ(nlohmann::json::parse(StatusJson(status, kAddress))["progress"]["phase"], "recovering");
}

TEST(StatusJsonTest, HasEveryFigureUnderItsName) {
  v1::RunStatus status = Training();
  v1::Verification* set = status.mutable_progress()->add_verification();
  set->set_name("lfw\xff");
  set->set_accuracy(0.5);
  set->add_accept_rates()->set_tar(0.25);
  status.mutable_progress()->set_recoveries(2);
  status.mutable_progress()->set_last_recovery("shard 1 was lost");
  status.mutable_progress()->set_lost_steps(7);
  status.mutable_progress()->set_recoverable(true);
  const auto json = nlohmann::json::parse(StatusJson(status, kAddress));
  EXPECT_EQ(json["run_folder"], "/runs/a");
  EXPECT_EQ(json["coordinator"]["address"], kAddress);
  EXPECT_EQ(json["coordinator"]["pid"], 100);
  EXPECT_EQ(json["view"], nlohmann::json::parse("[2, 1]"));
  EXPECT_EQ(json["num_classes"], 964);
  EXPECT_EQ(json["progress"]["phase"], "training");
  EXPECT_EQ(json["progress"]["step"], 7);
  EXPECT_EQ(json["progress"]["verification"][0]["accept_rates"][0]["tar"], 0.25);
  EXPECT_EQ(json["progress"]["recoveries"], 2);
  EXPECT_EQ(json["progress"]["last_recovery"], "shard 1 was lost");
  EXPECT_EQ(json["progress"]["lost_steps"], 7);
  EXPECT_EQ(json["progress"]["recoverable"], true);
  ASSERT_EQ(json["members"].size(), 3u);
  EXPECT_EQ(json["members"][1]["range"], nlohmann::json::parse("[482, 964]"));
  EXPECT_EQ(json["members"][1]["recent_phases"]["pass_1"]["count"], 4);
  EXPECT_EQ(json["members"][2]["role"], "worker");
  EXPECT_FALSE(json["members"][2].contains("range"));
}

}  // namespace
}  // namespace arcshard::cli
