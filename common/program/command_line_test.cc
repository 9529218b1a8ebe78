#include "common/program/command_line.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CommandLineTest : public ::testing::Test {
 protected:
  CommandLineTest() {
    CommandLine root = parser_.root();
    train_ = std::make_unique<CommandLine>(root.AddCommand("train", "Train"));
    train_->Add("config", &config_, "The configuration").ValueName("run.yaml").Required();
    train_->Add("--shards", &shards_, "How many").Within(1, 8).ShowDefault();
    train_->Add("--set", &overrides_, "A key's value").OneValueEach();
    train_->Add("--device", &devices_, "Where").SeparatedByCommas().OneValueEach();
    CommandLine data = root.AddCommand("data", "Data");
    CommandLine pack = data.AddCommand("pack", "Pack");
    pack.AddFlag("--force", &force_, "Replace files");
    pack.Add("--rate", &rate_, "A number").Positive();
    pack.Add("--seed", &seed_, "A number").NotNegative();
  }
  std::string ErrorOf(const std::vector<std::string>& arguments) {
    const absl::StatusOr<CommandLineParser::Outcome> outcome = parser_.Parse(arguments);
    EXPECT_TRUE(absl::IsInvalidArgument(outcome.status())) << outcome.status();
    return std::string(outcome.status().message());
  }

  CommandLineParser parser_{"program", "Does things.", "program 1.2"};
  std::unique_ptr<CommandLine> train_;
  std::string config_;
  int64_t shards_ = 2;
  std::vector<std::string> overrides_, devices_;
  bool force_ = false;
  double rate_ = 1;
  int64_t seed_ = 0;
};

TEST_F(CommandLineTest, ValuesGoToTheVariablesOfTheCommandThatWasGiven) {
  EXPECT_EQ(*parser_.Parse({"train", "--set", "a=1", "run.yaml", "--set", "b=2", "--device", "cpu,cuda:1"}),
            CommandLineParser::Outcome::kCommand);
  EXPECT_TRUE(train_->given());
  EXPECT_EQ(config_, "run.yaml");
  EXPECT_EQ(shards_, 2);
  EXPECT_THAT(overrides_, ElementsAre("a=1", "b=2"));
  EXPECT_THAT(devices_, ElementsAre("cpu", "cuda:1"));
}

TEST_F(CommandLineTest, AnUnknownCommandGetsTheNearestOne) {
  EXPECT_EQ(ErrorOf({"trian", "run.yaml"}), "'trian' is not a command; did you mean train?");
  EXPECT_EQ(ErrorOf({"data", "pakc"}), "'pakc' is not a command; did you mean pack?");
}

TEST_F(CommandLineTest, AnUnknownOptionGetsTheNearestOne) {
  EXPECT_EQ(ErrorOf({"train", "--shard", "2", "run.yaml"}),
            "'--shard' is not an option of program train; did you mean --shards? (see program train --help)");
  EXPECT_THAT(ErrorOf({"train", "run.yaml", "--devise=cpu"}), HasSubstr("did you mean --device?"));
  EXPECT_THAT(ErrorOf({"data", "pack", "--forc"}), HasSubstr("did you mean --force?"));
  EXPECT_THAT(ErrorOf({"--versoin"}), HasSubstr("'--versoin' is not an option of program; did you mean --version?"));
}

TEST_F(CommandLineTest, ANumberOutOfItsBoundsIsToldInShort) {
  for (const char* const text : {"0", "-1", "nan", "inf", "x"}) {
    EXPECT_THAT(ErrorOf({"data", "pack", absl::StrCat("--rate=", text)}),
                HasSubstr(absl::StrCat("--rate: '", text, "' is not a number that is above 0")));
  }
  EXPECT_THAT(ErrorOf({"data", "pack", "--seed=-1"}), HasSubstr("--seed: '-1' is not a number that is 0 or above"));
  EXPECT_TRUE(parser_.Parse({"data", "pack", "--rate=0.5", "--seed=0"}).ok());
}

TEST_F(CommandLineTest, HelpIsACommandToo) {
  parser_.AddHelpCommands();
  const auto printed = [&](const std::vector<std::string>& arguments) {
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(*parser_.Parse(arguments), CommandLineParser::Outcome::kHelpShown);
    return ::testing::internal::GetCapturedStdout();
  };
  EXPECT_EQ(printed({"help", "data", "pack"}), printed({"data", "pack", "--help"}));
  EXPECT_EQ(printed({"help"}), printed({"--help"}));
  EXPECT_THAT(printed({"help"}), AllOf(HasSubstr("help "), HasSubstr("completion ")));
  EXPECT_EQ(ErrorOf({"help", "trian"}), "'trian' is not a command; did you mean train?");
}

TEST_F(CommandLineTest, AUsageErrorNamesTheHelpToRead) {
  EXPECT_THAT(ErrorOf({"train", "run.yaml", "--shards", "9"}), AllOf(HasSubstr("--shards"), HasSubstr("1 to 8")));
  EXPECT_THAT(ErrorOf({}), HasSubstr("(see program --help)"));
  EXPECT_THAT(ErrorOf({"data", "pack", "more"}), HasSubstr("(see program data pack --help)"));
}

TEST_F(CommandLineTest, HelpAndVersionArePrinted) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(*parser_.Parse({"train", "--help"}), CommandLineParser::Outcome::kHelpShown);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(),
              AllOf(HasSubstr("config run.yaml REQUIRED"), HasSubstr("INT in [1 - 8]=2")));
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(*parser_.Parse({"--version"}), CommandLineParser::Outcome::kHelpShown);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "program 1.2\n");
}

}  // namespace
}  // namespace arcshard
