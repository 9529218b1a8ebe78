#include "cli/display/progress_printer.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

v1::Progress AtStep(uint64_t step, v1::Progress::Phase phase = v1::Progress::PHASE_TRAINING) {
  v1::Progress progress;
  progress.set_phase(phase);
  progress.set_step(step);
  progress.set_steps(100);
  progress.set_epochs(2);
  return progress;
}

v1::Progress Verified(uint64_t step, uint64_t verification_step) {
  v1::Progress progress = AtStep(step);
  progress.set_verification_step(verification_step);
  progress.add_verification()->set_name("lfw");
  return progress;
}

class ProgressPrinterTest : public ::testing::Test {
 protected:
  ProgressPrinter Plain() {
    return ProgressPrinter({.write = [this](absl::string_view text) { absl::StrAppend(&out_, text); }}, &clock_);
  }
  ProgressPrinter Terminal() {
    return ProgressPrinter({.write = [this](absl::string_view text) { absl::StrAppend(&out_, text); },
                            .terminal_width = [this] { return width_; }},
                           &clock_);
  }
  std::string TakeOut() { return std::exchange(out_, ""); }
  std::string Step(uint64_t step) {
    return absl::StrCat("epoch 0.00/2  step ", step, "/100", step > 0 ? "  loss 0.0000  cos 0.000  lr 0" : "");
  }

  FakeClock clock_;
  std::string out_;
  size_t width_ = 80;
};

TEST_F(ProgressPrinterTest, OnATerminalTheLineIsWrittenOver) {
  ProgressPrinter printer = Terminal();
  width_ = 60;
  printer.Show(AtStep(1));
  clock_.Advance(absl::Milliseconds(100));
  printer.Show(AtStep(2));
  EXPECT_EQ(TakeOut(), absl::StrCat("\r", Step(1), "\x1b[K\r", Step(2), "\x1b[K"));
}

TEST_F(ProgressPrinterTest, OnATerminalItIsNotWrittenOverFasterThanAnybodyReads) {
  ProgressPrinter printer = Terminal();
  printer.Show(AtStep(1));
  TakeOut();
  clock_.Advance(absl::Milliseconds(99));
  printer.Show(AtStep(2));
  EXPECT_EQ(TakeOut(), "");
  printer.Show(AtStep(2, v1::Progress::PHASE_EVALUATING));  // news
  EXPECT_EQ(TakeOut(), "\rverifying after step 2\x1b[K");
}

TEST_F(ProgressPrinterTest, AWideTerminalShowsABarInColours) {
  ProgressPrinter printer({.write = [this](absl::string_view text) { absl::StrAppend(&out_, text); },
                           .terminal_width = [this] { return width_; },
                           .colours = true},
                          &clock_);
  width_ = 1 + 8 + 7 + Step(50).size();
  printer.Show(AtStep(50));
  EXPECT_EQ(TakeOut(), absl::StrCat("\r\x1b[36m━━━━\x1b[0m\x1b[2m────\x1b[0m  50%  ", Step(50), "\x1b[K"));
  printer.Headline("trained");
  EXPECT_EQ(TakeOut(), "\r\x1b[K\x1b[1mtrained\x1b[0m\n");
}

TEST_F(ProgressPrinterTest, OnATerminalTheWidthOfTheMomentCounts) {
  ProgressPrinter printer = Terminal();
  width_ = 11;
  printer.Show(AtStep(1));
  EXPECT_EQ(TakeOut(), "\rstep 1/100\x1b[K");
  width_ = 10;
  clock_.Advance(absl::Seconds(1));
  printer.Show(AtStep(1));
  EXPECT_EQ(TakeOut(), "\rstep 1/10\x1b[K");
  width_ = 0;
  clock_.Advance(absl::Seconds(1));
  printer.Show(AtStep(1));
  EXPECT_EQ(TakeOut(), "\r\x1b[K");
}

TEST_F(ProgressPrinterTest, WhatTheCoordinatorSaysCommandsNoTerminal) {
  ProgressPrinter printer = Terminal();
  v1::Progress progress = AtStep(0, v1::Progress::PHASE_GATHERING);
  progress.set_waiting_for("a\x1b[2J\nb");
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "\ra\\x1b[2J b\x1b[K");
  printer.Line("a\x1b[2J\nb");
  EXPECT_EQ(TakeOut(), "\r\x1b[Ka\\x1b[2J b\n");
}

TEST_F(ProgressPrinterTest, OnATerminalALineTakesTheProgressLinesPlace) {
  ProgressPrinter printer = Terminal();
  printer.Line("before");
  printer.Show(AtStep(1));
  TakeOut();
  printer.Line("hello");
  printer.Line("again");
  EXPECT_EQ(TakeOut(), "\r\x1b[Khello\nagain\n");
}

TEST_F(ProgressPrinterTest, ElsewhereLinesComeAtIntervals) {
  ProgressPrinter printer = Plain();
  printer.Show(AtStep(1));
  printer.Show(AtStep(2));
  clock_.Advance(absl::Seconds(4.9));
  printer.Show(AtStep(3));
  EXPECT_EQ(TakeOut(), Step(1) + "\n");
  clock_.Advance(absl::Seconds(0.1));
  printer.Show(AtStep(4));
  EXPECT_EQ(TakeOut(), Step(4) + "\n");
}

TEST_F(ProgressPrinterTest, ElsewhereANewPhaseIsNews) {
  ProgressPrinter printer = Plain();
  printer.Show(AtStep(7));
  printer.Show(AtStep(8, v1::Progress::PHASE_EVALUATING));
  EXPECT_EQ(TakeOut(), absl::StrCat(Step(7), "\nverifying after step 8\n"));
}

TEST_F(ProgressPrinterTest, ElsewhereALineIsNotRepeated) {
  ProgressPrinter printer = Plain();
  printer.Show(AtStep(7));
  TakeOut();
  clock_.Advance(absl::Seconds(60));
  printer.Show(AtStep(7));
  EXPECT_EQ(TakeOut(), "");
}

TEST_F(ProgressPrinterTest, AVerificationIsShownOnceAndAtOnce) {
  ProgressPrinter printer = Plain();
  printer.Show(AtStep(0));
  TakeOut();
  const std::string result =
      "lfw: accuracy 0.0000 ± 0.0000 (threshold 0.00, xnorm 0.00, 0 pairs)\n"
      "  all pairs: accuracy 0.0000 (threshold 0.000)\n";
  printer.Show(Verified(0, 0));
  EXPECT_EQ(TakeOut(), "step 0 " + result);
  printer.Show(Verified(1, 0));
  EXPECT_EQ(TakeOut(), "");
  printer.Show(Verified(50, 50));
  EXPECT_EQ(TakeOut(), "step 50 " + result);
}

TEST_F(ProgressPrinterTest, AStreakOfFailedCheckpointsIsOneLineAndItsEndAnother) {
  ProgressPrinter printer = Plain();
  printer.Show(AtStep(1));
  TakeOut();
  v1::Progress progress = AtStep(2);
  progress.set_checkpoint_failure("step 2: the disk is full");
  printer.Show(progress);
  progress.set_checkpoint_failure("step 3: the disk is full");
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "warning: the checkpoint failed, training continues: step 2: the disk is full\n");
  progress.clear_checkpoint_failure();
  progress.set_checkpoint_step(4);
  printer.Show(progress);
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "checkpoints are complete again: step 4\n");
}

TEST_F(ProgressPrinterTest, AnIncompleteVerificationIsNamedOnce) {
  ProgressPrinter printer = Plain();
  printer.Show(AtStep(1));
  TakeOut();
  v1::Progress progress = AtStep(2);
  progress.set_verification_failure("lfw.bin: image 3 is damaged");
  printer.Show(progress);
  progress.set_step(3);
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "warning: the verification is incomplete, training continues: lfw.bin: image 3 is damaged\n");
}

TEST_F(ProgressPrinterTest, EachRecoveryIsALineThatIsShownOnce) {
  ProgressPrinter printer = Plain();
  printer.Show(AtStep(7));
  TakeOut();
  v1::Progress progress = AtStep(7, v1::Progress::PHASE_RECOVERING);
  progress.set_waiting_for("shard 1 was lost; waiting for 1 of 2 shards");
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "recovering: shard 1 was lost; waiting for 1 of 2 shards\n");
  progress = AtStep(8);
  progress.set_recoveries(1);
  progress.set_last_recovery("shard 1 was lost; the run goes on after step 7, 2s later");
  printer.Show(progress);
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), absl::StrCat("recovered: shard 1 was lost; the run goes on after step 7, 2s later\n", Step(8),
                                    "  recovered once\n"));
  progress.set_recoveries(2);  // the same words again
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "recovered: shard 1 was lost; the run goes on after step 7, 2s later\n");
}

TEST_F(ProgressPrinterTest, AnotherLifeOfTheCoordinatorCountsItsRecoveriesAnew) {
  ProgressPrinter printer = Plain();
  v1::Progress progress = AtStep(8);
  progress.set_recoveries(1);
  progress.set_last_recovery("worker 0 was lost");
  printer.Show(progress);
  printer.Show(AtStep(8, v1::Progress::PHASE_GATHERING));
  TakeOut();
  progress.set_last_recovery("the coordinator was lost");
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), absl::StrCat("recovered: the coordinator was lost\n", Step(8), "  recovered once\n"));
}

TEST_F(ProgressPrinterTest, ARecoveryThatLostStepsStandsOut) {
  ProgressPrinter printer({.write = [this](absl::string_view text) { absl::StrAppend(&out_, text); }, .colours = true},
                          &clock_);
  printer.Show(AtStep(8));
  TakeOut();
  v1::Progress progress = AtStep(4);
  progress.set_recoveries(1);
  progress.set_lost_steps(4);
  progress.set_last_recovery("the run goes back from step 8 to step 4");
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "\x1b[1;31mrecovered: the run goes back from step 8 to step 4\x1b[0m\n");
}

TEST_F(ProgressPrinterTest, ALogThatIsDroppedWhileTrainingIsALineAndItsReturnAnother) {
  ProgressPrinter printer = Plain();
  v1::Progress progress = AtStep(1);
  progress.set_recoverable(true);
  printer.Show(progress);
  TakeOut();
  progress.set_recoverable(false);
  progress.set_phase(v1::Progress::PHASE_EVALUATING);  // and while the run recovers it says nothing of the log
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "verifying after step 1\n");
  progress.set_phase(v1::Progress::PHASE_TRAINING);
  printer.Show(progress);
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), absl::StrCat("warning: the replay log is not whole: a shard that is lost now takes the run back "
                                    "to its last checkpoint; training continues\n",
                                    Step(1), "\n"));
  progress.set_recoverable(true);
  printer.Show(progress);
  EXPECT_EQ(TakeOut(), "the replay log is whole again: a lost shard costs no steps\n");
}

TEST_F(ProgressPrinterTest, ARunOfOneShardHasNoLogToLose) {
  ProgressPrinter printer = Plain();
  for (int step = 1; step <= 3; ++step) printer.Show(AtStep(1));
  EXPECT_EQ(TakeOut(), absl::StrCat(Step(1), "\n"));
}

TEST_F(ProgressPrinterTest, TheEndIsLeftToTheLauncher) {
  ProgressPrinter printer = Plain();
  printer.Show(AtStep(100, v1::Progress::PHASE_FINISHED));
  printer.Show(AtStep(100, v1::Progress::PHASE_FAILED));
  EXPECT_EQ(TakeOut(), "");
}

}  // namespace
}  // namespace arcshard::cli
