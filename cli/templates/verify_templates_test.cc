#include "cli/templates/verify_templates.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "common/io/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

std::string Case(const std::string& name) { return absl::StrCat(ARCSHARD_SOURCE_DIR "/tests/data/templates/", name); }

class VerifyTemplatesTest : public ::testing::Test {
 protected:
  VerifyTemplatesTest() { std::filesystem::create_directories(folder_); }
  ~VerifyTemplatesTest() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }
  // Five images: two of the subject at 0°, two of that at 90°, and one at 45°.
  VerifyTemplatesOptions Small() const {
    const std::vector<float> embeddings = {2, 0, 4, 0, 0, 1, 0, 3, 1, 1};
    const std::string names = R"(["x/a1.jpg","x/a2.jpg","x/b1.jpg","x/b2.jpg","x/c.jpg"])";
    EXPECT_TRUE(
        WriteSafetensors(folder_ + "/e.safetensors",
                         {TensorView::Of<float>("embeddings", {5, 2}, embeddings),
                          TensorView::Of<uint8_t>("names", {static_cast<int64_t>(names.size())},
                                                  {reinterpret_cast<const uint8_t*>(names.data()), names.size()})})
            .ok());
    VerifyTemplatesOptions options;
    options.embeddings = folder_ + "/e.safetensors";
    options.templates = Write("faces.txt", "a1.jpg A 1\na2.jpg A2 2\nx/b1.jpg\tB\t3\nb2.jpg,B2,4\nc.jpg C 5\n");
    options.pairs = Write("pairs.txt", "A A2 1\nB B2 1\nA B 0\n\nA2 B2 0\n");
    options.json = true;
    return options;
  }
  static Json Parsed(const VerifyTemplatesOptions& options) {
    const absl::StatusOr<std::string> text = VerifyTemplates(options);
    EXPECT_TRUE(text.ok()) << text.status();
    return Json::parse(text.value_or("{}"));
  }
  static std::string ErrorOf(const VerifyTemplatesOptions& options) {
    const absl::Status status = VerifyTemplates(options).status();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  }

  const std::string folder_ = absl::StrCat(::testing::TempDir(), "/verify_templates_test.", getpid());
};

// tests/reference/make_templates_case.py evaluated the same in NumPy.
TEST_F(VerifyTemplatesTest, AgreesWithTheReferenceInNumPy) {
  const Json expected = Json::parse(ReadFile(Case("expected.json")).value());
  for (const bool scored : {false, true}) {
    VerifyTemplatesOptions options;
    options.embeddings = Case("embeddings.safetensors");
    options.templates = Case("faces.txt");
    options.pairs = Case("pairs.txt");
    options.gallery = Case("gallery.csv");
    options.probes = Case("probes.csv");
    if (scored) options.scores = Case("scores.txt");
    options.json = true;
    const Json found = Parsed(options), reference = expected[scored ? "scored" : "plain"];
    EXPECT_EQ(found["templates"], 120);
    ASSERT_EQ(found["verification"]["accept_rates"].size(), 6u);
    for (size_t i = 0; i < 6; ++i) {
      EXPECT_DOUBLE_EQ(found["verification"]["accept_rates"][i]["tar"], reference["tar"][i]) << i << scored;
    }
    EXPECT_EQ(found["identification"]["mated_probes"], reference["mated"]);
    EXPECT_DOUBLE_EQ(found["identification"]["rank"]["1"], reference["rank"][0]);
    EXPECT_DOUBLE_EQ(found["identification"]["rank"]["5"], reference["rank"][1]);
    EXPECT_DOUBLE_EQ(found["identification"]["rank"]["10"], reference["rank"][2]);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_DOUBLE_EQ(found["identification"]["accept_rates"][i]["tpir"], reference["tpir"][i]) << i << scored;
    }
  }
}

TEST_F(VerifyTemplatesTest, PairsAreCountedAndNamesAreFoundWithoutTheirFolder) {
  const Json found = Parsed(Small());
  EXPECT_EQ(found["images"], 5);
  EXPECT_EQ(found["verification"]["pairs"], 4);
  EXPECT_EQ(found["verification"]["same_pairs"], 2);
  EXPECT_EQ(found["verification"]["accept_rates"][0]["tar"], 1.0);
}

TEST_F(VerifyTemplatesTest, AByteOrderMarkIsNoPartOfANameAndUtf16IsNamed) {
  VerifyTemplatesOptions options = Small();
  const std::string mark = "\xef\xbb\xbf";
  options.templates = Write("faces.txt", mark + "a1.jpg A 1\na2.jpg A2 2\nx/b1.jpg\tB\t3\nb2.jpg,B2,4\nc.jpg C 5\n");
  options.pairs = Write("pairs.txt", mark + "A A2 1\nB B2 1\nA B 0\n\nA2 B2 0\n");
  EXPECT_EQ(Parsed(options)["verification"]["pairs"], 4);
  options.pairs = Write("pairs.txt",
                        "\xff\xfe"
                        "A");
  EXPECT_THAT(ErrorOf(options), HasSubstr("pairs.txt is a text in UTF-16; save it as UTF-8"));
}

TEST_F(VerifyTemplatesTest, TheTextSaysWhatIsMeasured) {
  VerifyTemplatesOptions options = Small();
  options.json = false;
  options.gallery = Write("g.csv", "TEMPLATE_ID,SUBJECT_ID,FILENAME\nA,1,x\nA,1,y\nB,2,z\n");
  options.probes = Write("p.csv", "template_id subject_id\nA2 1\nB2 2\nC 3\n");
  EXPECT_THAT(VerifyTemplates(options).value(),
              AllOf(HasSubstr("5 templates of 5 images\n1:1, 4 pairs, 2 of the same subject\n"),
                    HasSubstr("  TAR 1.0000 at FAR 1e-06, 0 false accepts (too few pairs to tell it from 0)\n"),
                    HasSubstr("1:N, 3 probes against 2 templates; of 2 the subject is among them\n  rank 1: 1.0000\n"),
                    HasSubstr("  TPIR 1.0000 at FPIR 0.01\n")));
}

TEST_F(VerifyTemplatesTest, FacesOfAMediumCountAsOne) {
  VerifyTemplatesOptions options = Small();
  // Five frames at 0° of one medium and one image at 90°: the template points to 45°, as C does, if the frames count as
  // one; otherwise nearly to 0°, as A does.
  options.unit = true;
  std::string frames;
  for (int i = 0; i < 5; ++i) frames += "a1.jpg M 1\n";
  options.templates = Write("faces.txt", frames + "b1.jpg M 2\nc.jpg C 5\na2.jpg A 6\n");
  options.gallery = Write("g.txt", "C 1\nA 2\n");
  options.probes = Write("p.txt", "M 1\n");
  options.pairs = "";
  EXPECT_EQ(Parsed(options)["identification"]["rank"]["1"], 1.0);
}

TEST_F(VerifyTemplatesTest, AnImageWithoutEmbeddingIsNamedOrLeftOut) {
  VerifyTemplatesOptions options = Small();
  options.templates = Write("faces.txt", "a1.jpg A 1\na2.jpg A2 2\nb1.jpg B 3\nb2.jpg B2 4\nnone.jpg C 5\n");
  options.pairs = Write("pairs.txt", "A A2 1\nC A 1\nA B 0\nC B 0\n");
  EXPECT_THAT(ErrorOf(options),
              AllOf(HasSubstr("1 of its images, such as none.jpg, have no embedding"), HasSubstr("--skip-missing")));
  options.skip_missing = true;
  const Json found = Parsed(options);
  EXPECT_EQ(found["missing_images"], 1);
  EXPECT_EQ(found["verification"]["accept_rates"][5]["tar"], 0.5) << "a template without an image is never accepted";
}

TEST_F(VerifyTemplatesTest, AWrongLineIsNamed) {
  VerifyTemplatesOptions options = Small();
  options.pairs = Write("pairs.txt", "A A2 1\nA Z 0\n");
  EXPECT_THAT(ErrorOf(options), HasSubstr("pairs.txt:2: the list of templates has no template Z"));
  options.pairs = Write("pairs.txt", "A A2 yes\n");
  EXPECT_THAT(ErrorOf(options), HasSubstr("pairs.txt:1: the label yes is neither 1 nor 0"));
  options.pairs = Write("pairs.txt", "A A2 1\n");
  EXPECT_THAT(ErrorOf(options), HasSubstr("it must have pairs of the same subject and of different ones"));
  options = Small();
  options.templates = Write("faces.txt", "a1.jpg A\n");
  EXPECT_THAT(ErrorOf(options), HasSubstr("faces.txt:1: a line must have an image, its template and its medium"));
  options = Small();
  options.gallery = Write("g.csv", "A,1\nA,2\n");
  options.probes = options.gallery;
  EXPECT_THAT(ErrorOf(options), HasSubstr("g.csv:2: template A had another subject before"));
  options = Small();
  options.scores = Write("s.txt", "a1.jpg 0.5\n");
  EXPECT_THAT(ErrorOf(options), HasSubstr("it has no score for the image"));
  options = Small();
  options.embeddings = folder_ + "/none";
  EXPECT_THAT(ErrorOf(options), HasSubstr("none: "));
}

}  // namespace
}  // namespace arcshard::cli
