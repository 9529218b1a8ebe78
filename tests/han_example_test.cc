// Runs examples/han/make.py on fonts that tests/reference/make_han_fonts.py makes, and reads its sets as a worker does.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/testing/commands.h"
#include "worker/data/formats/verification_set.h"
#include "worker/data/images/image_decode.h"
#include "worker/data/open_dataset.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const char* const kSets[] = {"unseen_faces", "unseen_characters", "hard_pairs"};

// The rows of a table with tabs, without the headings.
std::vector<std::vector<std::string>> Rows(const std::string& path) {
  const auto text = ReadFile(path);
  EXPECT_TRUE(text.ok()) << text.status();
  std::vector<std::vector<std::string>> rows;
  for (const absl::string_view line : absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    rows.push_back(absl::StrSplit(line, '\t'));
  }
  EXPECT_FALSE(rows.empty()) << path;
  rows.erase(rows.begin());
  return rows;
}

// The cosine of two pictures' ink.
double Cosine(absl::string_view a, absl::string_view b) {
  Image first, second;
  EXPECT_TRUE(DecodeImage(a, &first).ok() && DecodeImage(b, &second).ok());
  EXPECT_EQ(first.pixels.size(), second.pixels.size());
  double product = 0, first_square = 0, second_square = 0;
  for (size_t i = 0; i < first.pixels.size(); ++i) {
    const double x = 255 - first.pixels[i], y = 255 - second.pixels[i];
    product += x * y;
    first_square += x * x;
    second_square += y * y;
  }
  return product / std::sqrt(first_square * second_square);
}

class HanExampleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    OutputOf(PythonCommand(absl::StrCat(ARCSHARD_SOURCE_DIR "/tests/reference/make_han_fonts.py ", fonts())));
  }

  std::string fonts() const { return folder_.Path("fonts"); }
  static std::string Command(const std::string& arguments) {
    return PythonCommand(absl::StrCat(ARCSHARD_SOURCE_DIR "/examples/han/make.py --processes 2 ", arguments));
  }
  // Makes a set and returns its folder.
  std::string Make(const std::string& name, const std::string& options) const {
    const std::string out = folder_.Path(name);
    printed_ = OutputOf(Command(absl::StrCat("--fonts ", fonts(), " --pairs 200 ", options, " ", out)));
    return out;
  }
  // What a run that has to fail prints.
  static std::string Refusal(const std::string& arguments) {
    return OutputOf(absl::StrCat("! ", Command(arguments), " 2>&1"));
  }
  static std::unique_ptr<EncodedDataset> Open(const std::string& out) {
    auto dataset = OpenEncodedDataset({.path = out});
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    return *std::move(dataset);
  }
  static std::unique_ptr<VerificationSet> OpenSet(const std::string& out, const std::string& name) {
    auto set = VerificationSet::Load(absl::StrCat(out, "/", name, ".bin"));
    EXPECT_TRUE(set.ok()) << set.status();
    return *std::move(set);
  }
  // The pictures of each class, as PNG.
  static std::map<int64_t, std::vector<std::string>> Pictures(const EncodedDataset& dataset) {
    std::map<int64_t, std::vector<std::string>> pictures;
    EncodedSample sample;
    for (int64_t i = 0; i < dataset.samples(); ++i) {
      EXPECT_TRUE(dataset.ReadEncoded(i, &sample).ok());
      pictures[sample.label].emplace_back(sample.image());
    }
    return pictures;
  }

  TestFolder folder_;
  mutable std::string printed_;
};

TEST_F(HanExampleTest, AWorkerReadsTheTrainingSetAndTheThreeVerificationSets) {
  const std::string out = Make("out", "--classes 60");
  const auto dataset = Open(out);
  EXPECT_EQ(dataset->classes(), 60);
  const auto pictures = Pictures(*dataset);
  const auto rows = Rows(out + "/characters.tsv");
  ASSERT_EQ(rows.size(), 60);
  for (int64_t label = 0; label < 60; ++label) {
    EXPECT_EQ(rows[label][0], absl::StrCat(label));
    EXPECT_EQ(rows[label][3], absl::StrCat(pictures.at(label).size())) << rows[label][2];
  }
  SampleBuffers buffers;
  const auto image = dataset->Read(dataset->samples() - 1, 32, &buffers);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->label, 59);
  for (const char* name : kSets) {
    const auto set = OpenSet(out, name);
    EXPECT_GE(set->pairs(), 100) << name;
    EXPECT_EQ(std::count(set->same().begin(), set->same().end(), true) * 2, set->pairs());
    Image decoded;
    for (int64_t i = 0; i < set->images(); ++i) {
      ASSERT_TRUE(DecodeImage(set->image(i), &decoded).ok());
      EXPECT_EQ(decoded.width, 32);
      EXPECT_EQ(decoded.height, 32);
    }
  }
  EXPECT_THAT(printed_, HasSubstr("60 classes"));
}

TEST_F(HanExampleTest, WhatIsVerifiedIsNotInTheTrainingSet) {
  const std::string out = Make("out", "--classes 60");
  std::set<std::string> trained;
  for (const auto& [label, pictures] : Pictures(*Open(out))) trained.insert(pictures.begin(), pictures.end());
  for (const char* name : kSets) {
    const auto set = OpenSet(out, name);
    for (int64_t i = 0; i < set->images(); ++i) {
      EXPECT_EQ(trained.count(std::string(set->image(i))), 0) << name << ", image " << i;
    }
    for (int64_t i = 0; i < set->pairs(); ++i) {
      EXPECT_NE(set->image(2 * i), set->image(2 * i + 1)) << name << ", pair " << i;
    }
  }
}

TEST_F(HanExampleTest, GlyphsThatAFaceLacksAndCopiesOfFacesAreLeftOut) {
  const std::string out = Make("out", "");
  std::map<std::string, std::string> uses;
  int trained = 0;
  for (const auto& row : Rows(out + "/fonts.tsv")) {
    uses[row[1]] = row[0];
    trained += row[0] == "training";
  }
  EXPECT_EQ(uses.size(), 13);
  EXPECT_EQ(uses["ZCopy Regular"], "left out, draws like Face0 Regular");
  ASSERT_EQ(uses["Faulty Regular"], "training") << "another seed is needed here";
  std::map<std::string, int> pictures;
  for (const auto& row : Rows(out + "/characters.tsv")) EXPECT_TRUE(absl::SimpleAtoi(row[3], &pictures[row[2]]));
  int sound = 0, faulty = 0;
  for (const auto& [code, count] : pictures) {
    const bool lacking = code >= "U+4E00" && code <= "U+4E05";
    EXPECT_EQ(count, lacking ? trained - 1 : trained) << code;
    lacking ? ++faulty : ++sound;
  }
  EXPECT_GE(faulty, 4);  // the others may be kept for verification
  EXPECT_GE(sound, 270);
}

TEST_F(HanExampleTest, HardPairsShowTheMostSimilarCharacters) {
  const std::string out = Make("out", "");
  // Characters 2k and 2k + 1 of the fonts differ in one stroke. One of the two may be kept for verification.
  const auto rows = Rows(out + "/characters.tsv");
  std::map<std::string, std::string> similar;
  for (const auto& row : rows) similar[row[1]] = row[4];
  int mutual = 0;
  for (const auto& [character, other] : similar) mutual += similar.at(other) == character;
  EXPECT_GE(mutual, 200) << "of " << rows.size();

  const auto mean_of_different = [&](const char* name) {
    const auto set = OpenSet(out, name);
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < set->pairs(); ++i) {
      if (set->same()[i]) continue;
      sum += Cosine(set->image(2 * i), set->image(2 * i + 1));
      ++count;
    }
    return sum / static_cast<double>(count);
  };
  EXPECT_GT(mean_of_different("hard_pairs"), mean_of_different("unseen_faces") + 0.1);
}

TEST_F(HanExampleTest, TheSeedDecidesEveryByte_AndFewerClassesAreTheFirstOnes) {
  const std::string first = Make("first", "--classes 40"), again = Make("again", "--classes 40 --processes 1"),
                    other = Make("other", "--classes 40 --seed 2"), more = Make("more", "--classes 50");
  for (const char* name : {"train.rec", "train.idx", "property", "unseen_faces.bin", "unseen_characters.bin",
                           "hard_pairs.bin", "characters.tsv", "fonts.tsv"}) {
    const auto bytes = ReadFile(absl::StrCat(first, "/", name));
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(*bytes, *ReadFile(absl::StrCat(again, "/", name))) << name;
  }
  for (const char* name : {"train.rec", "unseen_faces.bin", "unseen_characters.bin", "hard_pairs.bin"}) {
    EXPECT_NE(*ReadFile(absl::StrCat(first, "/", name)), *ReadFile(absl::StrCat(other, "/", name))) << name;
  }
  const auto few = Pictures(*Open(first)), many = Pictures(*Open(more));
  for (int64_t label = 0; label < 40; ++label) EXPECT_EQ(few.at(label), many.at(label)) << label;
}

TEST_F(HanExampleTest, WrongInputGetsOneSentenceAndLeavesNoSet) {
  const std::string out = folder_.Path("out"), file = folder_.Write("file", "");
  const std::string empty = folder_.Path("empty");
  std::filesystem::create_directory(empty);
  const std::string with_fonts = absl::StrCat("--fonts ", fonts(), " ");
  EXPECT_EQ(Refusal(absl::StrCat("--fonts ", empty, " ", out)),
            absl::StrCat("han: there are no fonts (.ttf, .otf, .ttc) in ", empty, "\n"));
  EXPECT_EQ(Refusal(absl::StrCat(with_fonts, file, "/out")),
            absl::StrCat("han: ", file, "/out cannot be written: Not a directory\n"));
  EXPECT_THAT(Refusal(absl::StrCat(with_fonts, "--classes 1000 ", out)),
              StartsWith("han: 1000 classes were asked for, but the faces have "));
  EXPECT_THAT(Refusal(absl::StrCat("--classes many ", out)),
              HasSubstr("argument --classes: invalid whole number value: 'many'"));
  EXPECT_FALSE(std::filesystem::exists(out + "/train.rec"));

  Make("out", "--classes 20");
  EXPECT_EQ(Refusal(absl::StrCat(with_fonts, out)),
            absl::StrCat("han: ", out, "/train.rec already exists; --force replaces it\n"));
  Make("out", "--classes 25 --force");
  EXPECT_EQ(Open(out)->classes(), 25);

  folder_.Write("fonts/broken.ttf", "no font");
  std::vector<std::string> lines = absl::StrSplit(
      OutputOf(absl::StrCat(Command(absl::StrCat(with_fonts, "--pairs 200 --classes 20 ", folder_.Path("third"))),
                            " 2>&1 >/dev/null")),
      '\n', absl::SkipEmpty());
  EXPECT_THAT(lines, ElementsAre(StartsWith(absl::StrCat("han: ", fonts(),
                                                         "/broken.ttf is left out, because it "
                                                         "cannot be read: "))));
}

}  // namespace
}  // namespace arcshard::worker
