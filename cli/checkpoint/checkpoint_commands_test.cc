#include "cli/checkpoint/checkpoint_commands.h"

#include <bit>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/part_writer.h"
#include "common/io/file.h"
#include "common/io/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/backbone/backbone_file.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

constexpr int64_t kClasses = 10, kDim = 3;

// Value d of class j, exact in bfloat16.
float Center(int64_t j, int64_t d) { return static_cast<float>(8 * j + d); }

template <typename T>
absl::Span<const std::byte> BytesOf(const std::vector<T>& values) {
  return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T));
}

// Imports in this process, as arcshard-model does.
class Commands : public CheckpointCommands {
 public:
  using CheckpointCommands::CheckpointCommands;

 private:
  absl::StatusOr<std::string> Import() const override { return ImportCheckpoint(RealFileSystem(), import_options()); }
};

// A run whose checkpoints have three shards with ranges of different sizes, and a backbone.
class CheckpointCommandsTest : public ::testing::Test {
 protected:
  absl::Status Run(std::vector<std::string> arguments) {
    CommandLineParser parser("arcshard", "", "");
    Commands commands(parser.root());
    arguments.insert(arguments.begin(), "checkpoint");
    RETURN_IF_ERROR(parser.Parse(std::move(arguments)).status());
    EXPECT_TRUE(commands.given());
    ::testing::internal::CaptureStdout();
    const absl::StatusOr<int> status = commands.Run();
    printed_ = ::testing::internal::GetCapturedStdout();
    EXPECT_EQ(status.value_or(0), 0);
    return status.status();
  }
  static bool IsUsageError(std::vector<std::string> arguments) {
    CommandLineParser parser("arcshard", "", "");
    const Commands commands(parser.root());
    arguments.insert(arguments.begin(), "checkpoint");
    return absl::IsInvalidArgument(parser.Parse(std::move(arguments)).status());
  }
  std::string Print(const std::vector<std::string>& arguments) {
    const absl::Status status = Run(arguments);
    EXPECT_TRUE(status.ok()) << status;
    return printed_;
  }
  std::string ErrorOf(const std::vector<std::string>& arguments) {
    const absl::Status status = Run(arguments);
    EXPECT_FALSE(status.ok()) << printed_;
    EXPECT_EQ(printed_, "");
    return std::string(status.message());
  }

  void AddFile(const std::string& name, const TensorSpec& spec, absl::Span<const std::byte> data, Manifest* manifest) {
    auto writer = PartWriter::Create(files_, CheckpointFolder(run(), {manifest->step, 1}), name, {spec}, {});
    ASSERT_TRUE(writer.ok()) << writer.status();
    ASSERT_TRUE((*writer)->Append(spec.name, spec.dtype, data).ok());
    auto record = (*writer)->Finish();
    ASSERT_TRUE(record.ok()) << record.status();
    manifest->files.push_back(*record);
  }
  void AddRows(ClassRange range, TensorDtype dtype, Manifest* manifest) {
    std::vector<float> wide;
    std::vector<uint16_t> narrow;
    for (int64_t j = range.begin; j < range.end; ++j) {
      for (int64_t d = 0; d < kDim; ++d) {
        wide.push_back(Center(j, d));
        narrow.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(wide.back()) >> 16));
      }
    }
    AddFile(absl::StrCat("class_centers-", range.begin, "-", range.end, ".safetensors"),
            {RowTensorName(RowKind::kCenters, range), dtype, {range.size(), kDim}},
            dtype == TensorDtype::kF32 ? BytesOf(wide) : BytesOf(narrow), manifest);
  }
  // Makes a complete checkpoint whose backbone has one tensor.
  std::string Take(uint64_t step, TensorDtype dtype = TensorDtype::kF32) {
    Manifest manifest;
    manifest.step = step;
    manifest.incarnation = 1;
    manifest.num_classes = kClasses;
    manifest.embedding_size = kDim;
    manifest.data = {.samples = 100, .classes = kClasses, .fingerprint = 7};
    manifest.config_yaml = "run:\n  seed: 1\nhead:\n  classes: 10\n\nloss:\n  margin: arcface\n";
    manifest.version = "9.8.7";
    manifest.created = "2026-11-24T12:00:00+00:00";
    manifest.epoch = static_cast<double>(step) / 8;
    for (const ClassRange& range : {ClassRange{0, 5}, {5, 6}, {6, kClasses}}) AddRows(range, dtype, &manifest);
    AddFile("backbone.safetensors", {"fc.bias", TensorDtype::kF32, {2}}, BytesOf(std::vector<float>{1, 2}), &manifest);
    std::string folder = CheckpointFolder(run(), {step, 1});
    EXPECT_TRUE(WriteManifest(files_, folder, manifest).ok());
    return folder;
  }
  // Flips a bit of the file's last byte.
  static void Damage(const std::string& path) {
    std::string bytes = *ReadFile(path);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  }

  std::string run() const { return folder_.Path("run"); }
  std::string Out(const std::string& name = "out.safetensors") const { return folder_.Path(name); }

  FileSystem* const files_ = RealFileSystem();
  worker::TestFolder folder_;
  std::string printed_;
};

TEST_F(CheckpointCommandsTest, LsListsTheNewestFirstAndWhatIsWrong) {
  EXPECT_EQ(ErrorOf({"ls", run()}), run() + ": has no checkpoint");
  Take(8);
  const std::string second = Take(12), third = Take(16);
  std::filesystem::remove(third + "/class_centers-5-6.safetensors");
  std::filesystem::create_directory(CheckpointFolder(run(), {20, 1}));
  std::filesystem::create_directory(CheckpointsOf(run()) + "/step-00000004.1.damaged");
  const std::string text = Print({"ls", run()});
  EXPECT_THAT(text,
              AllOf(ContainsRegex("step +epoch +when \\(UTC\\) +size +shards +state\n +16 .*5-6.*\n +12 +1.50 +2026"),
                    ContainsRegex(" +8 +1.00 +2026-11-24T12:00:00\\+00:00 +464 B +3 +complete\n"),
                    HasSubstr("step-00000020.1: no manifest: being written, or left behind\n"),
                    HasSubstr("step-00000004.1.damaged: damaged, moved aside\n")));
}

TEST_F(CheckpointCommandsTest, ShowSaysWhatThePartsAre) {
  const std::string folder = Take(8);
  for (const std::string& path : {run(), folder}) {
    EXPECT_THAT(Print({"show", path}),
                AllOf(HasSubstr(folder + "\nstep        8, epoch 1.00\n"), HasSubstr("10 × 3 dimensions, of 3 shards"),
                      ContainsRegex("class_centers-6-10.safetensors .* classes 6 to 9\n"),
                      HasSubstr("by arcshard 9.8.7, incarnation 1"), HasSubstr("100 samples of 10 classes"),
                      HasSubstr("  head:\n    classes: 10\n  loss:\n    margin: arcface\n")));
  }
  EXPECT_THAT(ErrorOf({"show", folder_.Path("none")}), HasSubstr(folder_.Path("none")));
}

TEST_F(CheckpointCommandsTest, VerifyNamesTheFileThatIsDamaged) {
  const std::string folder = Take(8);
  EXPECT_THAT(Print({"verify", run()}), ContainsRegex("step-00000008.1: complete and intact, 4 files, [0-9.]+ "));
  Damage(folder + "/class_centers-5-6.safetensors");
  EXPECT_THAT(ErrorOf({"verify", run()}), HasSubstr(folder + "/class_centers-5-6.safetensors"));
  Damage(folder + "/manifest.json");
  EXPECT_THAT(ErrorOf({"verify", folder}), HasSubstr(folder + "/manifest.json"));
}

TEST_F(CheckpointCommandsTest, ExportedCentersAreTheRowsOfAllShards) {
  Take(8);
  EXPECT_EQ(Print({"export", run(), "--centers", Out()}), Out() + ": class_centers, 10×3 F32, classes 0 to 9\n");
  const auto file = SafetensorsFile::Open(Out());
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->entries().size(), 1u);
  EXPECT_EQ(file->entries().at("class_centers").shape, (std::vector<int64_t>{kClasses, kDim}));
  const std::vector<float> values = *file->Read<float>("class_centers");
  for (int64_t i = 0; i < kClasses * kDim; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], Center(i / kDim, i % kDim));
}

TEST_F(CheckpointCommandsTest, SomeRowsAndTheHeldTypeAreExportedWhenAsked) {
  Take(8, TensorDtype::kBF16);
  EXPECT_EQ(Print({"export", run(), "--centers", Out(), "--rows", "4:7"}),
            Out() + ": class_centers, 3×3 F32, classes 4 to 6\n");
  const std::vector<float> values = *SafetensorsFile::Open(Out())->Read<float>("class_centers");
  ASSERT_EQ(values.size(), 9u);
  for (int64_t i = 0; i < 9; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], Center(4 + i / kDim, i % kDim));

  EXPECT_EQ(Print({"export", run(), "--centers", Out("held.safetensors"), "--as-held"}),
            Out("held.safetensors") + ": class_centers, 10×3 BF16, classes 0 to 9\n");
  std::vector<float> held(kClasses * kDim);
  const auto rows = ClassRows::OfFile(Out("held.safetensors"));
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_TRUE(rows->Read(RowKind::kCenters, {0, kClasses}, absl::MakeSpan(held)).ok());
  for (int64_t i = 0; i < kClasses * kDim; ++i) EXPECT_EQ(held[static_cast<size_t>(i)], Center(i / kDim, i % kDim));

  EXPECT_THAT(ErrorOf({"export", run(), "--centers", Out("no"), "--rows", "4:11"}),
              HasSubstr("has 10 classes, so there are no rows 4:11"));
}

TEST_F(CheckpointCommandsTest, TheBackboneIsExportedUnderItsNames) {
  Take(8);
  EXPECT_EQ(Print({"export", run(), "--backbone", Out()}), Out() + ": backbone 1 tensors under InsightFace's names\n");
  EXPECT_EQ(*SafetensorsFile::Open(Out())->Read<float>("fc.bias"), (std::vector<float>{1, 2}));
}

TEST_F(CheckpointCommandsTest, NoFileIsOverwrittenUnaskedOrWrittenFromDamage) {
  const std::string folder = Take(8);
  folder_.Write("out.safetensors", "precious");
  EXPECT_EQ(ErrorOf({"export", run(), "--centers", Out()}), Out() + " exists already; --force replaces it");
  EXPECT_EQ(ErrorOf({"export", run(), "--centers", Out("b"), "--backbone", Out()}),
            Out() + " exists already; --force replaces it");
  EXPECT_EQ(ErrorOf({"export", run(), "--centers", Out("b"), "--backbone", folder_.Path("run/../b"), "--force"}),
            folder_.Path("run/../b") + " would get the class centers and the backbone: name two files");
  EXPECT_EQ(ErrorOf({"export", run(), "--centers", folder + "/backbone.safetensors", "--force"}),
            folder + "/backbone.safetensors is read by the same command: it is not replaced");
  EXPECT_EQ(*ReadFile(Out()), "precious");
  EXPECT_FALSE(std::filesystem::exists(Out("b")));
  Damage(folder + "/class_centers-6-10.safetensors");
  EXPECT_THAT(ErrorOf({"export", run(), "--centers", Out(), "--force"}), HasSubstr("class_centers-6-10.safetensors"));
  EXPECT_EQ(*ReadFile(Out()), "precious");
  Damage(folder + "/class_centers-6-10.safetensors");  // undoes the damage
  Print({"export", run(), "--centers", Out(), "--force"});
  EXPECT_TRUE(SafetensorsFile::Open(Out()).ok());
}

TEST_F(CheckpointCommandsTest, FilesOfTheRunAreNotReplacedButThoseThatWereExportedIntoItsFolderAre) {
  const std::string older = Take(8);
  Take(16);
  folder_.Write("run/config.yaml", "precious");
  folder_.Write("run/model/backbone.safetensors", "precious");
  for (const std::string& from : {run(), run() + "/", older}) {
    for (const char* name : {"run/config.yaml", "run/model/backbone.safetensors"}) {
      EXPECT_EQ(ErrorOf({"export", from, "--centers", Out(name), "--force"}),
                Out(name) + " is a file of the run: it is not replaced");
      EXPECT_EQ(*ReadFile(Out(name)), "precious");
    }
  }
  EXPECT_THAT(ErrorOf({"export", run(), "--backbone", older + "/backbone.safetensors", "--force"}),
              HasSubstr("it is not replaced"))
      << "another checkpoint of the run";
  for (int i = 0; i < 2; ++i) Print({"export", run(), "--centers", Out("run/centers.safetensors"), "--force"});
  EXPECT_TRUE(SafetensorsFile::Open(Out("run/centers.safetensors")).ok());
}

TEST_F(CheckpointCommandsTest, ImportMakesACheckpointThatTheOthersRead) {
  const std::string from = ARCSHARD_SOURCE_DIR "/tests/data/insightface/checkpoint";
  EXPECT_THAT(Print({"import", "--format", "insightface", from, Out("imported"), "--classes", "11"}),
              HasSubstr("11 classes × 8 dimensions of 3 ranks"));
  EXPECT_THAT(Print({"show", Out("imported")}), HasSubstr("configuration: none, it was imported\n"));
  EXPECT_THAT(Print({"verify", Out("imported")}), HasSubstr("complete and intact, 5 files"));
  Print({"export", Out("imported"), "--backbone", Out()});
  EXPECT_TRUE(worker::OpenBackbone(Out()).ok());
}

TEST_F(CheckpointCommandsTest, WhatIsMissingOrMisspeltIsAUsageError) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"ls"},
                                                    {"show"},
                                                    {"export"},
                                                    {"import", "a"},
                                                    {"export", "a", "--rows", "1:2"},
                                                    {"export", "a", "--centers", "b", "--rows", "2:2"},
                                                    {"export", "a", "--centers", "b", "--rows", "x"},
                                                    {"import", "a", "b", "--format", "other"},
                                                    {"import", "a", "b", "--classes", "0"},
                                                    {"burn", "a"}}) {
    EXPECT_TRUE(IsUsageError(arguments));
  }
  EXPECT_THAT(ErrorOf({"export", "a"}), HasSubstr("needs --centers or --backbone"));
  EXPECT_THAT(ErrorOf({"take"}), HasSubstr("needs a run's folder or --coordinator"));
  EXPECT_THAT(ErrorOf({"take", folder_.Path("none")}), HasSubstr(folder_.Path("none")));
}

}  // namespace
}  // namespace arcshard::cli
