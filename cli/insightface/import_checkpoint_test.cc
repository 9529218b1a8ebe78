#include "cli/insightface/import_checkpoint.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "cli/insightface/state_dict.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/io/file.h"
#include "common/io/safetensors.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "common/pickle/torch_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/backbone/backbone_file.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
namespace fs = std::filesystem;

constexpr int64_t kClasses = 11, kDim = 8;

ImportOptions Of(int64_t num_classes, int64_t embedding_size = 0) {
  ImportOptions options;
  options.num_classes = num_classes;
  options.embedding_size = embedding_size;
  return options;
}
ImportOptions Forced() {
  ImportOptions options;
  options.force = true;
  return options;
}

// A copy, which tests may change, of files that PyTorch wrote in InsightFace's layouts
// (tests/reference/make_insightface_case.py).
class ImportCheckpointTest : public ::testing::Test {
 protected:
  ImportCheckpointTest() : expected_(SafetensorsFile::Open(kData + "/expected.safetensors").value()) {
    fs::copy(kData, in_.path(), fs::copy_options::recursive | fs::copy_options::overwrite_existing);
  }

  absl::StatusOr<std::string> Import(const std::string& layout, ImportOptions options = {}) {
    options.folder = in_.Path(layout);
    options.out = out();
    return ImportCheckpoint(RealFileSystem(), options);
  }
  std::string ErrorOf(const std::string& layout, const ImportOptions& options = {}) {
    const auto text = Import(layout, options);
    EXPECT_FALSE(text.ok()) << *text;
    EXPECT_FALSE(fs::exists(out()));
    EXPECT_FALSE(fs::exists(out() + ".importing"));
    return std::string(text.status().message());
  }
  OpenCheckpoint Open() {
    auto checkpoint = OpenCheckpoint::Open(RealFileSystem(), out());
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    EXPECT_TRUE(checkpoint->Verify().ok());
    return *std::move(checkpoint);
  }
  std::vector<float> Rows(RowKind kind) {
    std::vector<float> values(kClasses * kDim);
    const absl::Status status = ClassRows::Of(Open())->Read(kind, {0, kClasses}, absl::MakeSpan(values));
    EXPECT_TRUE(status.ok()) << status;
    return values;
  }
  std::vector<float> Expected(const std::string& name) const { return expected_.Read<float>(name).value(); }

  // Expects that the file has the recorded tensors <prefix><name> and no others.
  void ExpectTensors(const std::string& file_name, absl::string_view taken_off, absl::string_view prefix) {
    const auto file = Open().File(file_name);
    ASSERT_TRUE(file.ok()) << file.status();
    for (const auto& [name, entry] : file->entries()) {
      const std::string recorded = absl::StrCat(prefix, absl::StripPrefix(name, taken_off));
      if (entry.dtype == TensorDtype::kI64) {
        EXPECT_EQ(*file->Read<int64_t>(name), *expected_.Read<int64_t>(recorded)) << name;
      } else {
        EXPECT_EQ(*file->Read<float>(name), Expected(recorded)) << name;
      }
    }
    const auto count = std::count_if(expected_.entries().begin(), expected_.entries().end(), [&](const auto& entry) {
      return entry.first.compare(0, prefix.size(), std::string(prefix)) == 0;
    });
    EXPECT_EQ(file->entries().size(), static_cast<size_t>(count));
  }

  // Writes a state_dict of the recorded backbone, its names behind `before` and its floats as `change` leaves them.
  void WriteBackbone(const std::string& layout, absl::string_view before,
                     const std::function<void(absl::string_view, std::vector<float>*)>& change = nullptr,
                     absl::string_view as_integers = "") {
    fs::create_directories(in_.Path(layout));
    std::deque<std::vector<float>> floats;
    std::deque<std::vector<int64_t>> integers;
    std::vector<TensorView> tensors;
    for (const auto& [recorded, entry] : expected_.entries()) {
      absl::string_view name = recorded;
      if (!absl::ConsumePrefix(&name, "backbone.")) continue;
      if (entry.dtype == TensorDtype::kI64) {
        integers.push_back(*expected_.Read<int64_t>(recorded));
      } else if (floats.emplace_back(Expected(recorded)); change != nullptr) {
        change(name, &floats.back());
      }
      if (name == as_integers) integers.emplace_back(floats.back().size());
      const std::string written = absl::StrCat(before, name);
      tensors.push_back(entry.dtype == TensorDtype::kI64 || name == as_integers
                            ? TensorView::Of<int64_t>(written, entry.shape, integers.back())
                            : TensorView::Of<float>(written, entry.shape, floats.back()));
    }
    ASSERT_EQ(WriteTorchStateDict(in_.Path(layout + "/backbone.pth"), tensors), absl::OkStatus());
  }

  // An import with few file-system calls, for disks in memory.
  ImportOptions OfOneFile() const {
    ImportOptions options = Forced();
    options.folder = in_.Path("one");
    fs::create_directory(options.folder);
    fs::copy(in_.Path("softmax/rank_0_softmax_weight.pt"), options.folder);
    options.out = "/runs/imported";
    return options;
  }

  std::string out() const { return out_.Path("imported"); }

  static inline const std::string kData = ARCSHARD_SOURCE_DIR "/tests/data/insightface";
  const SafetensorsFile expected_;
  worker::TestFolder in_, out_;
};

TEST_F(ImportCheckpointTest, CheckpointsOfThreeRanksBecomeOneWithTheSameRowsBackboneAndMoments) {
  const auto text = Import("checkpoint");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, absl::StrCat(out(),
                                ": step 2, 11 classes × 8 dimensions of 3 ranks, backbone iresnet18 (16×16 pixels, 8 "
                                "dimensions, width 1), moments of sgd\nto start a run from it: init_from.checkpoint: ",
                                out(), "\n"));
  const Manifest manifest = Open().manifest();
  EXPECT_EQ(manifest.step, 2u);
  EXPECT_EQ(manifest.epoch, 1.0);
  EXPECT_EQ(manifest.num_classes, kClasses);
  EXPECT_EQ(manifest.embedding_size, kDim);
  EXPECT_EQ(manifest.config_yaml, "");
  std::vector<std::string> names;
  for (const FileRecord& file : manifest.files) names.push_back(file.name);
  EXPECT_THAT(names, ::testing::ElementsAre("backbone.safetensors", "class_centers-0-4.safetensors",
                                            "class_centers-4-8.safetensors", "class_centers-8-11.safetensors",
                                            "optimizer.safetensors"));
  EXPECT_EQ(Rows(RowKind::kCenters), Expected("centers"));
  EXPECT_EQ(Rows(RowKind::kMoment0), Expected("momentum"));
  ExpectTensors("backbone.safetensors", "", "backbone.");
  ExpectTensors("optimizer.safetensors", "momentum.", "backbone_momentum.");
  EXPECT_EQ(Open().File("optimizer.safetensors")->metadata().at("optimizer"), "sgd");
  EXPECT_TRUE(worker::OpenBackbone(out() + "/backbone.safetensors").ok());
}

TEST_F(ImportCheckpointTest, TheOlderFilesOfRanksAndABackboneFromInsideDataParallelGiveTheSame) {
  const auto text = Import("softmax", Of(kClasses, kDim));
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(Rows(RowKind::kCenters), Expected("centers"));
  EXPECT_EQ(Rows(RowKind::kMoment0), Expected("momentum"));
  ExpectTensors("backbone.safetensors", "", "backbone.");
  EXPECT_FALSE(Open().Has("optimizer.safetensors"));
  EXPECT_EQ(Open().manifest().step, 0u);
}

TEST_F(ImportCheckpointTest, MomentsAndCountsOfAdamWAreTaken) {
  const auto text = Import("adamw");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text,
              AllOf(HasSubstr("the backbone is not one of the networks that arcshard knows"),
                    HasSubstr("5 classes × 8 dimensions of 2 ranks, a backbone of 7 tensors, moments of adamw\n")));
  const auto rows = ClassRows::Of(Open());
  ASSERT_TRUE(rows.ok()) << rows.status();
  std::vector<float> values(5 * kDim);
  for (const auto& [kind, name] : {std::pair(RowKind::kCenters, "adamw.centers"),
                                   {RowKind::kMoment0, "adamw.first_moment"},
                                   {RowKind::kMoment1, "adamw.second_moment"}}) {
    ASSERT_TRUE(rows->Read(kind, {0, 5}, absl::MakeSpan(values)).ok());
    EXPECT_EQ(values, Expected(name)) << name;
  }
  std::vector<uint32_t> counts(5);
  ASSERT_TRUE(rows->ReadCounts({0, 5}, absl::MakeSpan(counts)).ok());
  EXPECT_EQ(counts, std::vector<uint32_t>(5, 2));

  const auto file = Open().File("optimizer.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata().at("optimizer"), "adamw");
  EXPECT_EQ(*file->Read<float>("steps"), std::vector<float>{2});
  EXPECT_EQ(file->entries().size(), 9u) << "two moments of four parameters, and the steps";
  for (const auto& [name, entry] : file->entries()) {
    if (name == "steps") continue;
    EXPECT_EQ(*file->Read<float>(name), Expected("adamw.backbone." + name)) << name;
  }
}

TEST_F(ImportCheckpointTest, WithoutMomentumAndWithoutBackboneWhatIsThereIsImported) {
  for (const char* name : {"rank_0_softmax_weight_mom.pt", "rank_1_softmax_weight_mom.pt",
                           "rank_2_softmax_weight_mom.pt", "backbone.pth"}) {
    fs::remove(in_.Path(absl::StrCat("softmax/", name)));
  }
  const auto text = Import("softmax");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, AllOf(HasSubstr("has no model.pt or backbone.pth: only class centers are imported\n"),
                           HasSubstr("and init_from.parts: head\n"), Not(HasSubstr("moments"))));
  EXPECT_EQ(Rows(RowKind::kCenters), Expected("centers"));
  EXPECT_FALSE(ClassRows::Of(Open())->Has(RowKind::kMoment0));
  EXPECT_FALSE(Open().Has("backbone.safetensors"));
}

TEST_F(ImportCheckpointTest, ABackboneAloneIsImported) {
  for (int rank = 0; rank < 3; ++rank) fs::remove(in_.Path(absl::StrCat("checkpoint/checkpoint_gpu_", rank, ".pt")));
  const auto text = Import("checkpoint");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, AllOf(HasSubstr("has no class centers"), HasSubstr("and init_from.parts: backbone\n")));
  ExpectTensors("backbone.safetensors", "", "backbone.");
  EXPECT_EQ(Open().manifest().embedding_size, kDim);
}

TEST_F(ImportCheckpointTest, AMissingRankIsNamed) {
  fs::remove(in_.Path("checkpoint/checkpoint_gpu_1.pt"));
  EXPECT_EQ(ErrorOf("checkpoint"),
            absl::StrCat(in_.Path("checkpoint/checkpoint_gpu_1.pt"), ": is missing, though there is ",
                         in_.Path("checkpoint/checkpoint_gpu_2.pt")));
  fs::remove(in_.Path("softmax/rank_0_softmax_weight.pt"));
  EXPECT_THAT(ErrorOf("softmax"), StartsWith(in_.Path("softmax/rank_0_softmax_weight.pt: is missing")));
}

TEST_F(ImportCheckpointTest, RanksThatDoNotAddUpAreRefused) {
  fs::remove(in_.Path("softmax/rank_2_softmax_weight.pt"));
  fs::remove(in_.Path("softmax/rank_2_softmax_weight_mom.pt"));
  EXPECT_EQ(
      ErrorOf("softmax", Of(kClasses)),
      absl::StrCat(in_.Path("softmax"), ": its 2 ranks have 8 classes, not 11: those of higher ranks are missing"));
  // A rank of another training: by the rule of arcface_torch the first rank has more rows, not the second.
  fs::copy(in_.Path("checkpoint"), in_.Path("mixed"));
  fs::rename(in_.Path("mixed/checkpoint_gpu_2.pt"), in_.Path("mixed/checkpoint_gpu_0.pt"));
  EXPECT_EQ(ErrorOf("mixed"),
            absl::StrCat(in_.Path("mixed"),
                         ": its 2 ranks have 7 classes; then rank 0 would have 4, but has 3: the files are of several "
                         "trainings, or ranks are missing (--classes N imports them as they are)"));
  EXPECT_TRUE(Import("mixed", Of(7)).ok());
}

TEST_F(ImportCheckpointTest, MomentaOfSomeRanksOnlyAreRefused) {
  fs::remove(in_.Path("softmax/rank_1_softmax_weight_mom.pt"));
  EXPECT_THAT(ErrorOf("softmax"), HasSubstr("of 3 ranks only 2 have a _mom.pt"));
}

TEST_F(ImportCheckpointTest, FilesThatAreNotWhatTheirNameSaysAreRefusedByName) {
  EXPECT_THAT(ErrorOf("checkpoint", Of(0, 512)),
              HasSubstr("checkpoint_gpu_0.pt: its class centers have 8 dimensions, not 512"));
  fs::copy(in_.Path("odd.pt"), in_.Path("softmax/rank_1_softmax_weight.pt"), fs::copy_options::overwrite_existing);
  EXPECT_EQ(ErrorOf("softmax"), in_.Path("softmax/rank_1_softmax_weight.pt: what it holds is a dict, not a tensor"));
  fs::copy(in_.Path("odd.pt"), in_.Path("checkpoint/checkpoint_gpu_1.pt"), fs::copy_options::overwrite_existing);
  EXPECT_EQ(ErrorOf("checkpoint"),
            in_.Path("checkpoint/checkpoint_gpu_1.pt: has no state_dict_softmax_fc with a weight"));
  in_.Write("checkpoint/checkpoint_gpu_1.pt", "nothing of PyTorch");
  EXPECT_EQ(ErrorOf("checkpoint"), in_.Path("checkpoint/checkpoint_gpu_1.pt: is no file of PyTorch's torch.save"));
  EXPECT_THAT(ErrorOf("none"), HasSubstr("none: No such file or directory"));
  fs::create_directory(in_.Path("empty"));
  EXPECT_THAT(ErrorOf("empty"), HasSubstr("holds none of InsightFace's checkpoint_gpu_<rank>.pt"));
}

TEST_F(ImportCheckpointTest, WhatIsThereIsReplacedOnlyWhenAsked) {
  ASSERT_TRUE(Import("softmax").ok());
  EXPECT_EQ(Import("checkpoint").status().message(), out() + " exists already; --force replaces it");
  EXPECT_EQ(Open().manifest().step, 0u);
  EXPECT_FALSE(Import("none", Forced()).ok());
  EXPECT_EQ(Open().manifest().step, 0u) << "what cannot be imported replaces nothing";
  const auto text = Import("checkpoint", Forced());
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(Open().manifest().step, 2u);
  fs::remove(out() + "/manifest.json");
  EXPECT_THAT(std::string(Import("checkpoint", Forced()).status().message()),
              HasSubstr("is not a checkpoint: it is not replaced"));
}

TEST_F(ImportCheckpointTest, ObjectsOfOtherClassesAndTheNamesOfWrappersDoNotStandInTheWay) {
  const auto text = Import("company");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, HasSubstr(": step 1099511627776, 2 classes × 3 dimensions of 1 rank"));
  EXPECT_EQ(Open().manifest().epoch, 3.0);
  std::vector<float> centers(6);
  ASSERT_TRUE(ClassRows::Of(Open())->Read(RowKind::kCenters, {0, 2}, absl::MakeSpan(centers)).ok());
  EXPECT_EQ(centers, (std::vector<float>{0, 0.25, 0.5, 0.75, 1, 1.25}));
  const auto file = Open().File("backbone.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->entries().size(), 3u);
  EXPECT_EQ(*file->Read<float>("0.weight"), centers) << "from half precision";
  EXPECT_EQ(*file->Read<float>("1.module.bias"), (std::vector<float>{0, 0.25, 0.5})) << "from double precision";
  EXPECT_EQ(*file->Read<int64_t>("1.num_batches_tracked"), std::vector<int64_t>{7}) << "from half precision";
}

TEST_F(ImportCheckpointTest, AStateDictThatLiesOneLevelDownIsFound) {
  fs::create_directory(in_.Path("alone"));
  fs::copy(in_.Path("company/checkpoint_gpu_0.pt"), in_.Path("alone/model.pt"));
  const auto text = Import("alone");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, HasSubstr("a backbone of 3 tensors"));
}

TEST_F(ImportCheckpointTest, AStateDictOfOtherObjectsIsRefusedByTheirClass) {
  fs::create_directory(in_.Path("alone"));
  fs::copy(in_.Path("company_2.pt"), in_.Path("alone/model.pt"));
  EXPECT_EQ(ErrorOf("alone"), in_.Path("alone/model.pt: multi_step is a dict, not a tensor"));
}

TEST_F(ImportCheckpointTest, TheNamesOfABackboneLoseWhatAnotherProgramPutBeforeThem) {
  for (const char* before : {"backbone.", "model.", "net.", "student.", "module.backbone.", "student.net."}) {
    WriteBackbone("foreign", before);
    const auto text = Import("foreign", Forced());
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_THAT(*text, AllOf(HasSubstr(absl::StrCat("the names of the backbone's tensors begin with ",
                                                    absl::StripPrefix(before, "module."), " in their file")),
                             HasSubstr("backbone iresnet18 ("), HasSubstr("to start a run from it: "),
                             Not(HasSubstr("warning"))));
    ExpectTensors("backbone.safetensors", "", "backbone.");
    EXPECT_TRUE(worker::OpenBackbone(out() + "/backbone.safetensors").ok());
  }
  fs::remove_all(out());
  WriteBackbone("own", "");
  const auto text = Import("own");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, Not(HasSubstr("begin with")));
}

TEST_F(ImportCheckpointTest, NobodyIsToldToStartARunFromABackboneThatNoNetworkHas) {
  auto text = Import("adamw");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, AllOf(HasSubstr("no run can start from it\n"),
                           HasSubstr(absl::StrCat("\nto start a run from its class centers: init_from.checkpoint: ",
                                                  out(), " and init_from.parts: head\n"))));
  fs::remove_all(in_.Path("alone"));
  fs::create_directory(in_.Path("alone"));
  fs::copy(in_.Path("company/checkpoint_gpu_0.pt"), in_.Path("alone/model.pt"));
  text = Import("alone", Forced());
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, AllOf(HasSubstr("no run can start from it\n"), Not(HasSubstr("to start a run"))));
}

TEST_F(ImportCheckpointTest, WeightsThatAreNotFiniteAreNamed) {
  const auto infinite_from = [](size_t begin) {
    return [begin](absl::string_view, std::vector<float>* values) {
      for (size_t i = begin; i < values->size(); ++i) (*values)[i] = std::numeric_limits<float>::infinity();
    };
  };
  WriteBackbone("odd", "", [&](absl::string_view name, std::vector<float>* values) {
    if (name == "conv1.weight") values->front() = std::numeric_limits<float>::quiet_NaN();
    if (name == "fc.bias") infinite_from(0)(name, values);
  });
  auto text = Import("odd");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, AllOf(HasSubstr("warning: " + in_.Path("odd/backbone.pth: of the ")),
                           HasSubstr(" values of conv1.weight, 1 is NaN or infinite in float32\n"),
                           HasSubstr("of the 8 values of fc.bias, 8 are NaN or infinite in float32\n"),
                           Not(HasSubstr("more tensors"))));
  WriteBackbone("odd", "", infinite_from(0));
  text = Import("odd", Forced());
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_THAT(*text, HasSubstr(" more tensors have such values\n"));
}

TEST_F(ImportCheckpointTest, IntegersInPlaceOfWeightsAreRefusedByName) {
  WriteBackbone("whole", "backbone.", nullptr, "conv1.weight");
  EXPECT_EQ(ErrorOf("whole"), in_.Path("whole/backbone.pth: conv1.weight is of I64, not of floats"));
  for (const char* name : {"softmax/rank_0_softmax_weight_mom.pt", "softmax/rank_0_softmax_weight.pt"}) {
    std::string file = *ReadFile(in_.Path(name));  // a stream of pickles, without checksums
    const size_t at = file.find("FloatStorage");
    ASSERT_NE(at, std::string::npos);
    in_.Write(name, file.replace(at, 12, "IntStorage"));
    EXPECT_EQ(ErrorOf("softmax"), absl::StrCat(in_.Path(name), ": what it holds is of I32, not of floats"));
  }
}

TEST(StateDictTest, NamesLoseTheirWrappersInEveryCombination) {
  for (const char* name :
       {"layer1.0.conv1.weight", "module.layer1.0.conv1.weight", "_orig_mod.layer1.0.conv1.weight",
        "module._orig_mod.layer1.0.conv1.weight", "_orig_mod.module.layer1.0.conv1.weight",
        "module.module.layer1.0.conv1.weight", "layer1._orig_mod.0.conv1.weight",
        "_fsdp_wrapped_module.layer1._fsdp_wrapped_module.0._checkpoint_wrapped_module.conv1.weight"}) {
    EXPECT_EQ(WithoutWrappers(name), "layer1.0.conv1.weight") << name;
  }
  EXPECT_EQ(WithoutWrappers("layer1.module.weight"), "layer1.module.weight") << "a layer of that name";
  EXPECT_EQ(WithoutWrappers("modules.weight"), "modules.weight");
}

TEST_F(ImportCheckpointTest, TheFolderOfTheFilesIsNeverReplaced) {
  ImportOptions options = Forced();
  options.folder = in_.Path("softmax");
  in_.Write("softmax/manifest.json", "");
  in_.Write("manifest.json", "");
  for (const std::string& out : {in_.Path("softmax"), in_.Path("softmax/"), in_.Path("adamw/../softmax"), in_.path()}) {
    options.out = out;
    EXPECT_EQ(ImportCheckpoint(RealFileSystem(), options).status().code(), absl::StatusCode::kFailedPrecondition)
        << out;
  }
  EXPECT_TRUE(fs::exists(in_.Path("softmax/backbone.pth")));
}

// Whether one of the folders of this command is a complete checkpoint.
bool HasOne(FileSystem* files, const std::string& out) {
  for (const char* suffix : {"", ".importing", ".replaced"}) {
    const auto checkpoint = OpenCheckpoint::Open(files, out + suffix);
    if (checkpoint.ok() && checkpoint->Verify().ok()) return true;
  }
  return false;
}

TEST_F(ImportCheckpointTest, AReplacementThatIsCutOffTwiceLeavesACompleteOne) {
  const ImportOptions options = OfOneFile();
  MemoryFileSystem before;
  ASSERT_TRUE(before.CreateFolders("/runs").ok());
  ASSERT_TRUE(ImportCheckpoint(&before, options).ok());
  // Imports until a power cut at call number `at`. Returns false if the import has fewer calls.
  const auto cut_off = [&](MemoryFileSystem* disk, int64_t at) {
    FaultyFileSystem crashing(disk, FaultKind::kCrash, at);
    const auto status = ImportCheckpoint(&crashing, options).status();
    EXPECT_EQ(status.ok(), !crashing.injected()) << status;
    disk->CutPower({});
    return crashing.injected();
  };
  bool first_goes_on = true;
  for (int64_t first = 0; first_goes_on; ++first) {
    MemoryFileSystem once(before);
    first_goes_on = cut_off(&once, first);
    ASSERT_TRUE(HasOne(&once, options.out)) << first;
    bool second_goes_on = true;
    for (int64_t second = 0; second_goes_on; ++second) {
      MemoryFileSystem twice(once);
      second_goes_on = cut_off(&twice, second);
      ASSERT_TRUE(HasOne(&twice, options.out)) << first << ", then " << second;
      if (second_goes_on) continue;
      EXPECT_THAT(*twice.List("/runs"), ::testing::ElementsAre(FileSystem::Entry{"imported", true})) << first;
    }
  }
}

TEST_F(ImportCheckpointTest, WhatCannotBePutInPlaceLeavesTheOldOneThere) {
  const ImportOptions options = OfOneFile();
  MemoryFileSystem before;
  ASSERT_TRUE(before.CreateFolders("/runs").ok());
  ASSERT_TRUE(ImportCheckpoint(&before, options).ok());
  for (int64_t at = 0;; ++at) {
    MemoryFileSystem disk(before);
    FaultyFileSystem failing(&disk, FaultKind::kRenameFails, at);
    const auto status = ImportCheckpoint(&failing, options).status();
    if (at > failing.calls()) break;
    EXPECT_EQ(status.ok(), !failing.injected()) << status;
    EXPECT_TRUE(OpenCheckpoint::Open(&disk, options.out).ok()) << at;
    EXPECT_THAT(*disk.List("/runs"), ::testing::ElementsAre(FileSystem::Entry{"imported", true})) << at;
  }
}

}  // namespace
}  // namespace arcshard::cli
