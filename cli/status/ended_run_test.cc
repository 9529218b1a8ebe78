#include "cli/status/ended_run.h"

#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class EndedRunTest : public ::testing::Test {
 protected:
  EndedRunTest() : folder_(absl::StrCat(::testing::TempDir(), "/ended_run_test.", getpid())) {
    std::filesystem::remove_all(folder_);
    EXPECT_TRUE(CreateFolders(folder_).ok());
  }
  ~EndedRunTest() override { std::filesystem::remove_all(folder_); }

  // The run of two lives: 60 s until step 5, which was killed, and 30 s from the checkpoint of step 4 on. In the second
  // one somebody set the machine's date a year ahead.
  static std::string TwoLives() {
    return R"({"kind":"run","time":1700000000,"elapsed_seconds":0,"incarnation":1,"resumed_step":0}
{"kind":"view","time":1700000001,"elapsed_seconds":1,"num_classes":9,"steps":10,"members":[]}
{"kind":"step","time":1700000060,"elapsed_seconds":60,"step":5,"steps":10,"epoch":1,"loss":3.5,"target_cosine":0.25,"lr":0.1}
{"kind":"run","time":1700000100,"elapsed_seconds":0,"incarnation":2,"resumed_step":4}
{"kind":"step","time":1700000120,"elapsed_seconds":20,"step":10,"steps":10,"epoch":2,"loss":1.25,"target_cosine":0.5,"lr":0.001,"skipped":1}
{"kind":"verification","time":1731536000,"elapsed_seconds":25,"step":10,"sets":[{"name":"lfw","accuracy":0.75,"std":0.01,"threshold":1.25,"xnorm":22.5,"pairs":6,"overall_accuracy":0.5,"overall_threshold":1.5}]}
)";
  }
  static std::string End(const std::string& more) {
    return absl::StrCat(R"({"kind":"end","time":1731536005,"elapsed_seconds":30,"step":10,"steps":10,)", more, "}\n");
  }
  EndedRunStatus Read(const std::string& lines) {
    EXPECT_TRUE(WriteFileAtomically(absl::StrCat(folder_, "/metrics.jsonl"), lines).ok());
    absl::StatusOr<EndedRunStatus> run = ReadEndedRun(folder_);
    EXPECT_TRUE(run.ok()) << run.status();
    run->run_folder = "/runs/a";
    return *std::move(run);
  }

  const std::string folder_;
};

TEST_F(EndedRunTest, AFinishedRunIsSummedUpOverItsLives) {
  EndedRunStatus run = Read(absl::StrCat(TwoLives(), End(R"("outcome":"finished")")));
  run.checkpoint_step = 10;
  run.backbone = "/runs/a/model/backbone.safetensors";
  EXPECT_EQ(EndedRunText(run),
            "run /runs/a: finished\n"
            "step 10 of 10, epoch 2.00, loss 1.2500, cos 0.500, lr 0.001, 1 skipped\n"
            "ran for 1m30s in 2 starts, from 2023-11-14 22:13:20 UTC to 2024-11-13 22:13:25 UTC\n"
            "9 classes\n"
            "last checkpoint: step 10\n"
            "backbone: /runs/a/model/backbone.safetensors\n"
            "step 10 lfw: accuracy 0.7500 ± 0.0100 (threshold 1.25, xnorm 22.50, 6 pairs), best so far\n"
            "  all pairs: accuracy 0.5000 (threshold 1.500)\n");
}

TEST_F(EndedRunTest, AFailureIsToldWholeHoweverNarrowTheTerminal) {
  const EndedRunStatus run = Read(absl::StrCat(
      TwoLives(),
      End(R"("outcome":"failed","sentence":"worker 1 (pid 5 on h) died at step 10: stream\u001b broken")")));
  const std::string text = EndedRunText(run, {.width = 24});
  EXPECT_THAT(
      text, HasSubstr("run /runs/a: failed\nworker 1 (pid 5 on h)\ndied at step 10:\nstream\\x1b broken\nstep 10 of"));
  for (const absl::string_view line : absl::StrSplit(text, '\n'))
    EXPECT_LE(line.size(), 26u) << line;  // ± is two bytes
}

TEST_F(EndedRunTest, TellsHowOftenTheRunHasRecovered) {
  const EndedRunStatus run = Read(absl::StrCat(
      TwoLives(),
      R"({"kind":"recovery","time":1700000121,"step":10,"seconds":2,"lost_steps":3,"sentence":"worker 0 was lost"})",
      "\n", End(R"("outcome":"finished")")));
  EXPECT_THAT(EndedRunText(run),
              HasSubstr(" UTC\nrecovered once, 3 steps were lost\nthe last time: worker 0 was lost\n9 classes\n"));
  const auto json = nlohmann::json::parse(EndedRunJson(run));
  EXPECT_EQ(json["progress"]["recoveries"], 1);
  EXPECT_EQ(json["progress"]["lost_steps"], 3);
  EXPECT_EQ(json["progress"]["last_recovery"], "worker 0 was lost");
}

TEST_F(EndedRunTest, WithoutAnEndItSaysWhatThatMayMean) {
  const std::string text = EndedRunText(Read(TwoLives()));
  EXPECT_THAT(text, AllOf(HasSubstr("run /runs/a: interrupted\nno end is recorded: "), HasSubstr("--coordinator")));
}

TEST_F(EndedRunTest, ARunThatBeganAnewForgetsItsPast) {
  const EndedRunStatus run = Read(absl::StrCat(
      TwoLives(), R"({"kind":"run","time":1800000000,"elapsed_seconds":0,"incarnation":3,"resumed_step":0})", "\n",
      R"({"kind":"end","time":1800000007,"elapsed_seconds":7,"step":0,"steps":0,"outcome":"stopped"})", "\n"));
  EXPECT_THAT(EndedRunText(run), AllOf(HasSubstr("run /runs/a: stopped\nstep 0"), HasSubstr("\nran for 7s, from 2027"),
                                       Not(HasSubstr("lfw")), Not(HasSubstr("loss"))));
}

TEST_F(EndedRunTest, AsJsonItHasTheFieldsOfALivingRun) {
  const auto json = nlohmann::json::parse(EndedRunJson(Read(absl::StrCat(TwoLives(), End(R"("outcome":"finished")")))));
  EXPECT_EQ(json["run_folder"], "/runs/a");
  EXPECT_TRUE(json["coordinator"].is_null());
  EXPECT_TRUE(json["members"].empty());
  EXPECT_EQ(json["progress"]["phase"], "finished");
  EXPECT_EQ(json["progress"]["step"], 10);
  EXPECT_EQ(json["progress"]["steps"], 10);
  EXPECT_EQ(json["progress"]["loss"], 1.25);
  EXPECT_EQ(json["progress"]["verification"][0]["accuracy"], 0.75);
  EXPECT_EQ(json["progress"]["best_step"], 10);
  EXPECT_EQ(json["ended"]["outcome"], "finished");
  EXPECT_EQ(json["ended"]["seconds"], 90);
  EXPECT_EQ(json["ended"]["starts"], 2);
  EXPECT_EQ(json["ended"]["began"], 1700000000);
}

TEST_F(EndedRunTest, AFolderWithoutARunIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReadEndedRun(folder_).status()));
  ASSERT_TRUE(WriteFileAtomically(absl::StrCat(folder_, "/metrics.jsonl"), "").ok());
  EXPECT_TRUE(absl::IsNotFound(ReadEndedRun(folder_).status()));
}

}  // namespace
}  // namespace arcshard::cli
