// How the programs are compiled and linked, read from their ELF files, and that what is downloaded is pinned by hash.
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/testing/commands.h"

namespace arcshard {
namespace {

using ::testing::AnyOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

class HardeningTest : public ::testing::TestWithParam<const char*> {
 protected:
  static std::string Elf(const std::string& options) {
    return OutputOf(absl::StrCat("LC_ALL=C readelf -W ", options, " " ARCSHARD_BIN_DIR "/", GetParam()));
  }
};

TEST_P(HardeningTest, AProgramIsLoadedAnywhereAndItsTablesOfFunctionsAreReadOnlyFromTheStart) {
  EXPECT_THAT(Elf("--file-header"), ContainsRegex("Type: +DYN"));
  const std::string segments = Elf("--program-headers"), dynamic = Elf("--dynamic");
  EXPECT_THAT(segments, HasSubstr("GNU_RELRO"));
  EXPECT_THAT(segments, ContainsRegex("GNU_STACK .* RW +0x")) << "a stack that can be executed";
  EXPECT_THAT(dynamic, AnyOf(ContainsRegex("FLAGS_1.*NOW"), HasSubstr("BIND_NOW")));
  EXPECT_THAT(dynamic, Not(HasSubstr("TEXTREL")));
}

TEST_P(HardeningTest, AProgramChecksItsStack) { EXPECT_THAT(Elf("--dyn-syms"), HasSubstr("__stack_chk_fail@")); }

INSTANTIATE_TEST_SUITE_P(Programs, HardeningTest,
                         ::testing::Values("arcshard", "arcshard-model", "arcshard-coordinator", "arcshard-shard",
                                           "arcshard-worker"),
                         [](const auto& program) {
                           return absl::StrReplaceAll(program.param, {{"-", "_"}});
                         });

TEST(HardenedBuildTest, EveryFileIsCompiledWithTheGuards) {
  const auto text = ReadFile(ARCSHARD_BIN_DIR "/../compile_commands.json");
  ASSERT_TRUE(text.ok()) << text.status();
  int files = 0;
  for (const nlohmann::json& file : nlohmann::json::parse(*text)) {
    const std::string name = file.at("file"), command = file.at("command");
    if (absl::EndsWith(name, ".cu")) continue;
    ++files;
    EXPECT_THAT(command, HasSubstr(" -fstack-protector-strong")) << name;
#if defined(__GNUC__) && !defined(__clang__)
    EXPECT_THAT(command, HasSubstr(" -fstack-clash-protection")) << name;
#endif
#ifdef NDEBUG
    EXPECT_THAT(command, HasSubstr(" -D_FORTIFY_SOURCE=2")) << name;
#endif
  }
  EXPECT_GT(files, 100);
}

#ifdef NDEBUG  // needs optimisation
TEST(HardenedBuildTest, CallsOfTheCLibraryAreCheckedForTheirLengths) {
  EXPECT_THAT(OutputOf("LC_ALL=C readelf -W --dyn-syms " ARCSHARD_BIN_DIR "/arcshard"),
              ContainsRegex("__(memcpy|memmove|memset|printf|fprintf|snprintf|vsnprintf|read|readlink)_chk@"));
}
#endif

// The scripts that may download something.
std::vector<std::filesystem::path> Scripts() {
  std::vector<std::filesystem::path> scripts;
  for (const char* folder : {"scripts", "deploy", ".ci"}) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(ARCSHARD_SOURCE_DIR "/" + std::string(folder))) {
      if (entry.is_regular_file() && entry.path().filename() != "pin") scripts.push_back(entry.path());
    }
  }
  return scripts;
}

TEST(PinnedDownloadsTest, PipInstallsOnlyWhatHasAHash) {
  int calls = 0;
  for (const std::filesystem::path& script : Scripts()) {
    const auto text = ReadFile(script);
    ASSERT_TRUE(text.ok()) << text.status();
    for (const absl::string_view line : absl::StrSplit(absl::StrReplaceAll(*text, {{"\\\n", " "}}), '\n')) {
      if (absl::StartsWith(line, "#") || !absl::StrContains(line, "pip")) continue;
      if (!absl::StrContains(line, " install -") && !absl::StrContains(line, " download -")) continue;
      ++calls;
      EXPECT_THAT(std::string(line), HasSubstr("--require-hashes")) << script;
    }
  }
  EXPECT_GE(calls, 7);
}

TEST(PinnedDownloadsTest, EveryPackageHasAVersionAndHashes) {
  int packages = 0;
  for (const std::filesystem::path& file : Scripts()) {
    if (file.parent_path().filename() != "requirements" || file.extension() != ".txt") continue;
    const auto text = ReadFile(file);
    ASSERT_TRUE(text.ok()) << text.status();
    for (const absl::string_view line : absl::StrSplit(absl::StrReplaceAll(*text, {{"\\\n", " "}}), '\n')) {
      if (line.empty() || absl::StartsWith(line, "#") || absl::StartsWith(line, "--")) continue;
      ++packages;
      EXPECT_THAT(std::string(line), ContainsRegex("^[a-z0-9.-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}")) << file;
    }
  }
  EXPECT_GT(packages, 10);
}

}  // namespace
}  // namespace arcshard
