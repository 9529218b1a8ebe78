#include "common/program/completion.h"

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/program/command_line.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CompletionTest : public ::testing::Test {
 protected:
  CompletionTest() {
    CommandLine train = parser_.root().AddCommand("train", "Train: don't wait");
    train.Add("config", &text_, "The configuration");
    train.Add("-d,--device", &text_, "Where").OneOf({"cpu", "cuda"});
    train.Add("--out", &text_, "A file");
    train.AddFlag("--force", &flag_, "Replace files");
    CommandLine data = parser_.root().AddCommand("data", "Data");
    data.AddCommand("pack", "Pack").AddFlag("--fast", &flag_, "Fast");
    data.AddCommand("unpack", "Unpack");
    parser_.AddHelpCommands();
  }

  // What bash offers for the last of `words`.
  std::string Offered(const std::vector<std::string>& words) {
    const std::string script = absl::StrCat(::testing::TempDir(), "/completion.bash");
    std::ofstream(script) << BashCompletion(parser_.Describe()) << "COMP_WORDS=('" << absl::StrJoin(words, "' '")
                          << "')\nCOMP_CWORD=" << words.size() - 1 << "\n_program\necho ${COMPREPLY[@]}\n";
    std::FILE* const pipe = popen(absl::StrCat("bash ", script, " 2>&1").c_str(), "r");
    std::string output(1000, '\0');
    output.resize(fread(output.data(), 1, output.size(), pipe));
    pclose(pipe);
    return output;
  }

  CommandLineParser parser_{"program", "Does things.", "program 1.2"};
  std::string text_;
  bool flag_ = false;
};

TEST_F(CompletionTest, BashOffersCommandsOptionsAndListedValues) {
  EXPECT_EQ(Offered({"program", ""}), "train data help completion\n");
  EXPECT_EQ(Offered({"program", "da"}), "data\n");
  EXPECT_EQ(Offered({"program", "data", ""}), "pack unpack\n");
  EXPECT_EQ(Offered({"program", "data", "pack", "--f"}), "--fast\n");
  EXPECT_EQ(Offered({"program", "train", "run.yaml", "--f"}), "--force\n");
  EXPECT_EQ(Offered({"program", "train", "--device", "cu"}), "cuda\n");
  EXPECT_EQ(Offered({"program", "train", "-d", ""}), "cpu cuda\n");
  EXPECT_EQ(Offered({"program", "completion", ""}), "bash zsh\n");
}

TEST_F(CompletionTest, WhereAnythingMayStandBashOffersFiles) {  // by -o default, when the function offers nothing
  EXPECT_EQ(Offered({"program", "train", ""}), "\n");
  EXPECT_EQ(Offered({"program", "train", "--out", ""}), "\n");
  EXPECT_THAT(BashCompletion(parser_.Describe()), HasSubstr("complete -o bashdefault -o default -F _program program"));
}

TEST_F(CompletionTest, TheScriptForZshHasEveryCommandWithItsHelp) {
  const std::string script = ZshCompletion(parser_.Describe());
  EXPECT_THAT(script, HasSubstr("'train:Train: don'\\''t wait'"));
  EXPECT_THAT(script, HasSubstr("\"program train -d\"|\"program train --device\") compadd -- cpu cuda; return ;;"));
  EXPECT_THAT(script, HasSubstr("\"program train --out\") _files; return ;;"));
  EXPECT_THAT(script, Not(HasSubstr("path=")));  // which would be zsh's own list of folders with programs
}

TEST_F(CompletionTest, TheCommandPrintsTheScript) {
  ::testing::internal::CaptureStdout();
  EXPECT_EQ(*parser_.Parse({"completion", "zsh"}), CommandLineParser::Outcome::kHelpShown);
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), ZshCompletion(parser_.Describe()));
}

}  // namespace
}  // namespace arcshard
