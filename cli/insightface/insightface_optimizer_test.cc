#include "cli/insightface/insightface_optimizer.h"

#include <zip.h>

#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using std::string_literals::operator""s;

// The part of the pickle that lists the parameters of the backbone's group, as a list of bytes.
const std::string kNumbers = "(K\0K\1K\2K\3e"s;

std::string Repeat(const std::string& text, int times) {
  std::string repeated;
  for (int i = 0; i < times; ++i) repeated += text;
  return repeated;
}

std::string BytesOf(float value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

// A changed copy of tests/data/insightface/adamw, which PyTorch wrote: two ranks and a backbone of four parameters, of
// which 0.weight is 8×4 and the others are 8.
class InsightFaceOptimizerTest : public ::testing::Test {
 protected:
  InsightFaceOptimizerTest() {
    for (int rank = 0; rank < 2; ++rank) {
      const std::string name = NameOf(rank);
      folder_.Write(name + ".pt",
                    *ReadFile(absl::StrCat(ARCSHARD_SOURCE_DIR "/tests/data/insightface/adamw/", name, ".pt")));
    }
  }

  static std::string NameOf(int rank) { return absl::StrCat("checkpoint_gpu_", rank); }

  // Replaces an entry of a rank's archive.
  void SetEntry(int rank, const std::string& entry, const std::string& bytes) {
    zip_t* archive = zip_open(folder_.Path(NameOf(rank) + ".pt").c_str(), 0, nullptr);
    ASSERT_NE(archive, nullptr);
    const zip_int64_t index = zip_name_locate(archive, absl::StrCat(NameOf(rank), "/", entry).c_str(), 0);
    ASSERT_GE(index, 0) << entry;
    zip_source_t* source = zip_source_buffer(archive, bytes.data(), bytes.size(), 0);
    ASSERT_EQ(zip_file_replace(archive, static_cast<zip_uint64_t>(index), source, 0), 0);
    ASSERT_EQ(zip_set_file_compression(archive, static_cast<zip_uint64_t>(index), ZIP_CM_STORE, 0), 0);
    ASSERT_EQ(zip_close(archive), 0);
  }
  std::string GetEntry(int rank, const std::string& entry) {
    zip_t* archive = zip_open(folder_.Path(NameOf(rank) + ".pt").c_str(), ZIP_RDONLY, nullptr);
    zip_file_t* file = zip_fopen(archive, absl::StrCat(NameOf(rank), "/", entry).c_str(), 0);
    std::string bytes(1 << 20, '\0');
    bytes.resize(static_cast<size_t>(zip_fread(file, bytes.data(), bytes.size())));
    zip_fclose(file);
    zip_discard(archive);
    return bytes;
  }
  // Replaces the part of a rank's pickle from `from` to before `end`; if `end` is empty, `from` alone.
  void ChangePickle(int rank, const std::string& from, const std::string& end, const std::string& to) {
    std::string pickle = GetEntry(rank, "data.pkl");
    const size_t begin = pickle.find(from);
    ASSERT_NE(begin, std::string::npos);
    const size_t behind = end.empty() ? begin + from.size() : pickle.find(end, begin);
    ASSERT_NE(behind, std::string::npos);
    SetEntry(rank, "data.pkl", pickle.replace(begin, behind - begin, to));
  }
  // Replaces the step count of the first parameter by the value that an opcode makes.
  void SetFirstStep(const std::string& opcode) {
    ChangePickle(0, "X\4\0\0\0stepq\x5d"s, "X\7\0\0\0exp_avg"s, "X\4\0\0\0stepq\x5d"s + opcode);
  }

  InsightFaceState Read() {
    auto state = ReadInsightFace({folder_.path()});
    EXPECT_TRUE(state.ok()) << state.status();
    return state.ok() ? *std::move(state) : InsightFaceState();
  }
  std::string ErrorOf() {
    const absl::Status status = ReadInsightFace({folder_.path()}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }

  worker::TestFolder folder_;
};

TEST_F(InsightFaceOptimizerTest, MomentsOfABackboneInAnotherOrderAreNotImported) {
  EXPECT_EQ(Read().backbone_moments.size(), 8u);
  ChangePickle(0, kNumbers, "", "(K\1K\0K\2K\3e"s);
  const InsightFaceState state = Read();
  EXPECT_THAT(state.backbone_moments, IsEmpty()) << "those of 2 and 3 may be another's too";
  EXPECT_THAT(state.notes,
              ElementsAre("the backbone's moments are not imported: 0.weight is 8×4, but its exp_avg 8: the "
                          "optimizer has the parameters in another order"));
  EXPECT_EQ(state.ranks[0].moments.size(), 2u) << "the class centers' are the last of any order";
  EXPECT_EQ(state.optimizer, "adamw");
}

TEST_F(InsightFaceOptimizerTest, MomentsOfAnotherOptimizerThanTheRestAreLeft) {
  // exp_avg of the second parameter; its name is the pickle's 99th value.
  ChangePickle(0, "hch\7((h\bh\tX\2\0\0\00012"s, "", "X\17\0\0\0momentum_bufferh\7((h\bh\tX\2\0\0\00012"s);
  const InsightFaceState state = Read();
  EXPECT_THAT(state.backbone_moments, IsEmpty());
  EXPECT_THAT(state.notes,
              ElementsAre("the backbone's moments are not imported: 0.bias has momentum_buffer, but others are "
                          "adamw's"));
}

TEST_F(InsightFaceOptimizerTest, HalfOfAParametersMomentsIsNoted) {
  ChangePickle(0, "hch\7((h\bh\tX\2\0\0\00012"s, "", "K\5h\7((h\bh\tX\2\0\0\00012"s);
  const InsightFaceState state = Read();
  EXPECT_THAT(state.backbone_moments, IsEmpty());
  EXPECT_THAT(
      state.notes,
      ElementsAre(
          "the backbone's moments are not imported: 0.bias does not have all of AdamW's exp_avg, exp_avg_sq and step"));
}

TEST_F(InsightFaceOptimizerTest, ARankOfAnotherOptimizerIsNotedAndTheBackboneKeepsItsOwn) {
  std::string pickle = GetEntry(1, "data.pkl");
  for (const std::string key : {"exp_avg", "exp_avg_sq"}) {  // in all of rank 1
    const std::string opcode = absl::StrCat("X", std::string(1, static_cast<char>(key.size())), "\0\0\0"s, key, "q");
    const size_t at = pickle.find(opcode);
    ASSERT_NE(at, std::string::npos);
    const std::string other = key == "exp_avg" ? "momentum_buffer" : "unknown";
    pickle.replace(at, opcode.size(),
                   absl::StrCat("X", std::string(1, static_cast<char>(other.size())), "\0\0\0"s, other, "q"));
  }
  SetEntry(1, "data.pkl", pickle);
  const InsightFaceState state = Read();
  EXPECT_EQ(state.backbone_moments.size(), 8u);
  EXPECT_EQ(state.optimizer, "adamw");
  for (const InsightFaceState::Rank& rank : state.ranks) EXPECT_THAT(rank.moments, IsEmpty());
  EXPECT_THAT(state.notes, ElementsAre(absl::StrCat(folder_.Path("checkpoint_gpu_1.pt"),
                                                    ": the class centers' moments are not imported: the weight has "
                                                    "momentum_buffer, but others are adamw's"),
                                       "the class centers' moments are not imported: not all ranks have them"));
}

TEST_F(InsightFaceOptimizerTest, ClassCentersOfIntegersAreRefusedByTheirFile) {
  ChangePickle(0, "FloatStorage", "", "IntStorage");
  EXPECT_EQ(ErrorOf(),
            folder_.Path("checkpoint_gpu_0.pt: the weight of state_dict_softmax_fc is of I32, not of floats"));
}

TEST_F(InsightFaceOptimizerTest, MomentsOfIntegersAreNotImported) {
  std::string pickle = GetEntry(0, "data.pkl");
  const std::string floats = "(h\x08h\x09"s;  // "storage" and FloatStorage, which the pickle has named before
  const size_t at = pickle.find(floats, pickle.find("exp_avgq"));
  ASSERT_NE(at, std::string::npos);
  SetEntry(0, "data.pkl",
           pickle.replace(at, floats.size(),
                          "(h\x08"
                          "ctorch\nIntStorage\n"));
  const InsightFaceState state = Read();
  EXPECT_THAT(state.backbone_moments, IsEmpty());
  EXPECT_THAT(state.notes,
              ElementsAre("the backbone's moments are not imported: the exp_avg of 0.weight is of I32, not "
                          "of floats"));
}

TEST_F(InsightFaceOptimizerTest, StepsThatNoOptimizerCountsAreRefusedByName) {
  const std::string path = folder_.Path("checkpoint_gpu_0.pt");
  const std::string entry = "data/8";  // of the first parameter
  for (const auto& [steps, text] :
       {std::pair(-1.0f, "-1"), {4294967296.0f, "4.29497e+09"}, {std::numeric_limits<float>::quiet_NaN(), "nan"}}) {
    SetEntry(0, entry, BytesOf(steps));
    EXPECT_EQ(ErrorOf(), absl::StrCat(path, ": the optimizer's step is ", text, ", not a number from 0 to 4294967295"));
  }
  SetEntry(0, "data/20", BytesOf(-2.0f));  // of the class centers
  EXPECT_THAT(ErrorOf(), HasSubstr("the optimizer's step is -2,"));
  SetEntry(0, "data/20", BytesOf(2.0f));
  SetFirstStep("I-1\n");
  EXPECT_EQ(ErrorOf(), path + ": the optimizer's step is -1, not a number from 0 to 4294967295");
  SetFirstStep("I4294967296\n");
  EXPECT_EQ(ErrorOf(), path + ": the optimizer's step is 4294967296, not a number from 0 to 4294967295");
  SetFirstStep("N");
  EXPECT_THAT(ErrorOf(), HasSubstr("the optimizer's step is None, not a tensor"));
  SetFirstStep("I2\n");
  EXPECT_THAT(Read().notes, IsEmpty());
}

TEST_F(InsightFaceOptimizerTest, WhereStepsDifferTheFewestAreTakenAndNoted) {
  SetFirstStep("I1\n");
  const InsightFaceState state = Read();
  EXPECT_EQ(state.backbone_steps, 1);
  EXPECT_EQ(state.backbone_moments.size(), 8u);
  EXPECT_THAT(state.notes, ElementsAre("the backbone's parameters have taken 1 to 2 steps of AdamW: 1 is kept for all, "
                                       "so that none jumps"));
  EXPECT_EQ(state.ranks[0].moment_steps, 2);
}

TEST_F(InsightFaceOptimizerTest, AGroupThatIsRepeatedAThousandTimesIsNotOneOfPyTorch) {
  // The first group is the pickle's 197th value: a pickle a few KiB long names a million parameters.
  ChangePickle(0, kNumbers + "u", "", absl::StrCat("(", Repeat("K\0"s, 1000), "eu", Repeat("h\xc5", 1100)));
  EXPECT_THAT(Read().notes,
              ::testing::Contains(folder_.Path(
                  "checkpoint_gpu_0.pt: its state_optimizer is not one of PyTorch's and is not imported")));
}

TEST_F(InsightFaceOptimizerTest, AParameterWithMoreValuesThanAnyOptimizerKeepsIsNoted) {
  const std::string step = "X\4\0\0\0stepq\x5d"s;  // the pickle's 93rd value
  ChangePickle(0, step, "", absl::StrCat(step, Repeat("Nh\x5d", 97)));
  EXPECT_THAT(Read().notes,
              ElementsAre("the backbone's moments are not imported: 0.weight has 100 values, more than any optimizer "
                          "of PyTorch keeps of one"));
}

TEST_F(InsightFaceOptimizerTest, ParametersWithoutNumbersAreNotOnesOfPyTorch) {
  ChangePickle(0, kNumbers, "", "(NNNNe");
  EXPECT_THAT(Read().notes,
              ::testing::Contains(folder_.Path(
                  "checkpoint_gpu_0.pt: its state_optimizer is not one of PyTorch's and is not imported")));
}

}  // namespace
}  // namespace arcshard::cli
