#include "worker/data/formats/verification_set.h"

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/images/image_decode.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using std::string_literals::operator""s;

// The content that tests/data/pickles/make_pickles.py writes to each of its files.
std::vector<std::string> ExpectedImages() {
  std::string up, down("both ' and \"");
  for (int i = 0; i < 256; ++i) {
    up.push_back(static_cast<char>(i));
    down.push_back(static_cast<char>(255 - i));
  }
  return {"first\0\xff\n\r\t'\\"s, up, "", down};
}

std::vector<std::string> PickleFiles() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(ARCSHARD_SOURCE_DIR "/tests/data/pickles")) {
    if (entry.path().extension() == ".bin") paths.push_back(entry.path().string());
  }
  return paths;
}

std::vector<std::string> Images(const VerificationSet& set) {
  std::vector<std::string> images;
  for (int64_t i = 0; i < set.images(); ++i) images.emplace_back(set.image(i));
  return images;
}

TEST(VerificationSetTest, EveryProtocolOfPython2And3AndNumpyHasTheSameContent) {
  const std::vector<std::string> paths = PickleFiles();
  EXPECT_THAT(paths, SizeIs(69));
  for (const std::string& path : paths) {
    auto set = VerificationSet::Load(path);
    ASSERT_TRUE(set.ok()) << set.status();
    EXPECT_EQ((*set)->name(), std::filesystem::path(path).stem().string());
    EXPECT_EQ(Images(**set), ExpectedImages()) << path;
    EXPECT_THAT((*set)->same(), ElementsAre(true, false)) << path;
    EXPECT_EQ((*set)->pairs(), 2);
  }
}

TEST(VerificationSetTest, APickleCutOffAtAnyLengthIsRefused) {
  for (const std::string& path : PickleFiles()) {
    const std::string whole = *ReadFile(path);
    for (size_t length = 0; length < whole.size(); ++length) {
      const absl::Status status = VerificationSet::Parse("cut.bin", whole.substr(0, length)).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << path << " " << length;
      ASSERT_THAT(std::string(status.message()), HasSubstr("cut.bin: ")) << path << " " << length;
    }
  }
}

TEST(VerificationSetTest, ADamagedByteIsRefusedOrReadAsOtherValuesButNeverMore) {
  int refused = 0;
  for (const std::string& path : PickleFiles()) {
    const std::string whole = *ReadFile(path);
    for (size_t i = 0; i < whole.size(); ++i) {
      for (const int flip : {0xff, 0x01, 0x80}) {
        std::string damaged = whole;
        damaged[i] = static_cast<char>(damaged[i] ^ flip);
        auto set = VerificationSet::Parse("damaged.bin", damaged);
        if (!set.ok()) {
          ++refused;
          ASSERT_EQ(set.status().code(), absl::StatusCode::kInvalidArgument) << set.status();
          continue;
        }
        ASSERT_EQ((*set)->images(), 2 * (*set)->pairs());
        size_t bytes = 0;
        for (const std::string& image : Images(**set)) bytes += image.size();
        ASSERT_LE(bytes, 4 * whole.size());
      }
    }
  }
  EXPECT_GT(refused, 10000);
}

std::string Refusal(const std::string& pickle) {
  const absl::Status status = VerificationSet::Parse("set.bin", pickle).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), ::testing::StartsWith("set.bin: "));
  return std::string(status.message().substr(std::string("set.bin: ").size()));
}

TEST(RefusedSetTest, CountsThatDoNotMatchAreRefusedWithTheFigures) {
  EXPECT_EQ(Refusal("](C\1aC\1be](\x88\x89\x65\x86."), "2 images and 2 flags; there must be two images for each flag");
  EXPECT_EQ(Refusal("]]\x86."), "0 images and 0 flags; there must be two images for each flag");
}

TEST(RefusedSetTest, AnythingButImagesAndFlagsIsRefused) {
  EXPECT_EQ(Refusal("N."), "the pickle is None of 0 values, not (images, flags)");
  EXPECT_EQ(Refusal("]]N\x87."), "the pickle is a tuple of 3 values, not (images, flags)");
  EXPECT_EQ(Refusal("N]\x86."), "the images are None, not a list");
  EXPECT_EQ(Refusal("](C\1aNe](\x88\x65\x86."), "image 1 is None, not bytes");
  EXPECT_EQ(Refusal("](C\1aX\1\0\0\0be](\x88\x65\x86."s), "image 1 is a str, not bytes");
  EXPECT_EQ(Refusal("](C\1aC\1beN\x86."), "the flags are None, not a list");
  EXPECT_EQ(Refusal("](C\1aC\1be](K\2e\x86."), "the flags are a list whose value 0 is an int, not a bool");
  EXPECT_EQ(Refusal("]q\0h\0a](\x88\x65\x86."s), "image 0 is a list, not bytes") << "the list itself";
}

TEST(RefusedSetTest, CallsThatPythonWouldNotHaveWrittenAreRefused) {
  const auto image = [&](const std::string& value) {
    return Refusal(absl::StrCat("](", value, "C\1be](\x88\x65\x86."));
  };
  EXPECT_EQ(image("c_codecs\nencode\nX\1\0\0\0aX\4\0\0\0utf8\x86R"s),
            "image 0 is an object, neither bytes nor an array");
  EXPECT_EQ(image("c_codecs\nencode\nX\3\0\0\0\xe2\x82\xacX\6\0\0\0latin1\x86R"s),
            "image 0 is an object, neither bytes nor an array");
  EXPECT_EQ(image("cbuiltins\nbytearray\nK\xff\x85R"), "image 0 is an object, neither bytes nor an array");
  EXPECT_EQ(image("cbuiltins\nbytes\nC\1a\x85R"), "image 0 is an object, neither bytes nor an array");
  EXPECT_EQ(image("cnumpy.core.multiarray\n_reconstruct\n)R"), "image 0 is an array without its state");
  EXPECT_EQ(image("cnumpy.core.multiarray\nscalar\nNC\1a\x86R"), "image 0 is an array of another type");
  EXPECT_EQ(image("cnumpy.core.numeric\n_frombuffer\n(C\1acnumpy\ndtype\nX\2\0\0\0f8\x85RK\1\x85X\1\0\0\0CtR"s),
            "image 0 is an array of another type");
  EXPECT_EQ(image("cnumpy.core.numeric\n_frombuffer\n(C\1acnumpy\ndtype\nX\2\0\0\0u1\x85RK\2\x85X\1\0\0\0CtR"s),
            "image 0 is an array of 1 values and another shape than a row's");
}

TEST(RefusedSetTest, FlagsThatAreNeither0Nor1AreRefused) {
  const auto flags = [&](const std::string& value) { return Refusal(absl::StrCat("](C\1aC\1be", value, "\x86.")); };
  EXPECT_EQ(flags("](G\x40\0\0\0\0\0\0\0e"s), "the flags are a list whose value 0 is a float, not a bool");
  EXPECT_EQ(flags("](](\x88\x65\x65"), "the flags are a list whose value 0 is a list, not a bool");
  const auto array = [&](const std::string& type, const std::string& bytes, const std::string& shape) {
    return flags(absl::StrCat("cnumpy.core.numeric\n_frombuffer\n(C", std::string(1, static_cast<char>(bytes.size())),
                              bytes, "cnumpy\ndtype\nX\2\0\0\0"s, type, "\x85R", shape, "X\1\0\0\0CtR"s));
  };
  EXPECT_EQ(array("u1", "\2", "K\1\x85"), "the flags are an array whose value 0 is neither 0 nor 1");
  EXPECT_EQ(array("i2", "\1\1"s, "K\1\x85"), "the flags are an array whose value 0 is neither 0 nor 1");
  EXPECT_EQ(array("f4", "\0\0\0\x40"s, "K\1\x85"), "the flags are an array whose value 0 is neither 0 nor 1");
  EXPECT_EQ(array("f4", "\0\0\0"s, "K\1\x85"), "the flags are an array of 3 bytes of 4 each");
  EXPECT_EQ(array("u1", "\1\0\0\1"s, "K\2K\2\x86"),
            "the flags are an array of 4 values and another shape than a row's");
}

// A set of two pairs whose flags are the array of these bytes.
std::string SetWithFlags(const std::string& type, const std::string& bytes) {
  const auto counted = [](const std::string& text) {
    return absl::StrCat(std::string(1, static_cast<char>(text.size())), text);
  };
  return absl::StrCat("](C\1aC\1bC\1cC\1decnumpy.core.numeric\n_frombuffer\n(C"s, counted(bytes), "cnumpy\ndtype\nU"s,
                      counted(type), "\x85RK\2\x85X\1\0\0\0CtR\x86."s);
}

TEST(VerificationSetTest, ZerosWithASignAndFlagsOfEveryPrecisionAreRead) {
  const std::string seven(7, '\0'), fourteen(14, '\0');
  for (const auto& [type, bytes] :
       {std::pair("f2"s, "\0\x3c\0\x80"s),
        {"f4"s, "\0\0\x80\x3f\0\0\0\x80"s},
        {"f8"s, "\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\0\x80"s},
        {"f12"s, absl::StrCat(seven, "\x80\xff\x3f\0\0"s, seven, "\0\0\x80\0\0"s)},
        {"f16"s, absl::StrCat(seven, "\x80\xff\x3f"s, "padded"s, seven, "\0\0\0"s, "padded"s)},
        {"f16"s, absl::StrCat(fourteen, "\xff\x3f"s, fourteen, "\0\x80"s)}}) {
    const auto set = VerificationSet::Parse("set.bin", SetWithFlags(type, bytes));
    ASSERT_TRUE(set.ok()) << type << " " << set.status();
    EXPECT_THAT((*set)->same(), ElementsAre(true, false)) << type;
  }
  EXPECT_EQ(Refusal(SetWithFlags("f4", "\0\0\0\0\0\0\x80\xbf"s)),
            "the flags are an array whose value 1 is neither 0 nor 1")
      << "-1";
}

TEST(RefusedSetTest, CallsNestedWithoutEndAreRefused) {
  std::string pickle = "](cbuiltins\nbytearray\nq\0"s;
  for (int i = 1; i < 100000; ++i) pickle += "h\0"s;
  pickle += "C\1a";
  for (int i = 0; i < 100000; ++i) pickle += "\x85R";
  pickle += "C\1be](\x88\x65\x86.";
  EXPECT_EQ(Refusal(pickle), "image 0 is an object, neither bytes nor an array");
}

TEST(VerificationSetTest, AnImageNamedManyTimesTakesMemoryOnce) {
  // 100,000 calls that share one text of 100,000 characters, which would take 10 GB if each call decoded it.
  std::string pickle = "c_codecs\nencode\nq\0000X\xa0\x86\1\0"s;
  pickle.append(100000, 'a');
  pickle += "q\0010X\6\0\0\0latin1q\0020]("s;
  for (int i = 0; i < 100000; ++i) pickle += "h\0h\1h\2\x86R"s;
  pickle += "e](";
  pickle.append(50000, '\x88');
  pickle += "e\x86.";
  auto set = VerificationSet::Parse("many.bin", pickle);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->image(0).size(), 100000u);
  EXPECT_EQ((*set)->image(0).data(), (*set)->image(99999).data());
}

TEST(VerificationSetTest, AFileThatIsNoPickleIsCalledWhatItIs) {
  EXPECT_EQ(
      Refusal("version https://git-lfs.github.com/spec/v1\n"),
      "opcode 0x76 at offset 0 is not one of Python's; it is a pointer of Git LFS, whose file was not fetched (git "
      "lfs pull)");
  for (const auto& [bytes, kind] : {std::pair{"\n<HTML>"s, "; it is an HTML page"},
                                    {"<?xml version='1.0'?>"s, "; it is an XML file"},
                                    {"\x1f\x8b\x08\0"s, "; it is a gzip archive"},
                                    {"PK\3\4\x14\0"s, "; it is a zip archive"},
                                    {"\xff\xd8\xff\xe0"s, "; it is a JPEG image"},
                                    {"\xff\xfe(\0"s, "; it is a text in UTF-16"}}) {
    EXPECT_THAT(Refusal(bytes), ::testing::EndsWith(kind));
  }
}

TEST(VerificationSetTest, AMissingFileIsNamed) {
  const absl::Status status = VerificationSet::Load("no folder/none.bin").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("none.bin"));
}

// The sets in examples/: the same pairs of groceries as Python 3 and Python 2 write them, and pairs of characters.
TEST(CheckedInSetTest, GroceriesOfPython2And3AreTheSameAndDecode) {
  auto set = VerificationSet::Load(ARCSHARD_SOURCE_DIR "/examples/grocery/data/pairs.bin");
  auto set2 = VerificationSet::Load(ARCSHARD_SOURCE_DIR "/examples/grocery/data/pairs_python2.bin");
  ASSERT_TRUE(set.ok() && set2.ok()) << set.status() << set2.status();
  EXPECT_EQ((*set)->name(), "pairs");
  EXPECT_EQ(Images(**set), Images(**set2));
  EXPECT_EQ((*set)->same(), (*set2)->same());
  Image image;
  for (int64_t i = 0; i < (*set)->images(); ++i) {
    ASSERT_TRUE(DecodeImage((*set)->image(i), &image).ok());
    EXPECT_EQ(image.width, 112);
  }
}

TEST(CheckedInSetTest, OmniglotHasSixThousandPairs) {
  auto set = VerificationSet::Load(ARCSHARD_SOURCE_DIR "/examples/omniglot/data/unseen_alphabets.bin");
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ((*set)->pairs(), 6000);
  EXPECT_EQ(std::count((*set)->same().begin(), (*set)->same().end(), true), 3000);
  Image image;
  for (int64_t i = 0; i < (*set)->images(); ++i) ASSERT_TRUE(DecodeImage((*set)->image(i), &image).ok()) << i;
}

}  // namespace
}  // namespace arcshard::worker
