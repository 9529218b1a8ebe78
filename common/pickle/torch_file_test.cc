#include "common/pickle/torch_file.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/io/file.h"
#include "common/io/safetensors.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using std::string_literals::operator""s;

const std::string kData = ARCSHARD_SOURCE_DIR "/tests/data/insightface";

// A file name of this test alone: tests of this file may run at the same time.
std::string TemporaryPath(absl::string_view name) {
  return absl::StrCat(::testing::TempDir(), "torch_file_test_", getpid(), name);
}

std::vector<float> Floats(const TorchFile& file, const PickleValue& value, absl::string_view name) {
  const auto tensor = file.Tensor(value, name);
  EXPECT_TRUE(tensor.ok()) << tensor.status();
  if (!tensor.ok()) return {};
  std::vector<float> values(static_cast<size_t>(tensor->elements()));
  const absl::Status status = file.ReadFloats(*tensor, 0, absl::MakeSpan(values));
  EXPECT_TRUE(status.ok()) << status;
  return values;
}

// Tests of both formats that PyTorch writes.
class TorchFormatTest : public ::testing::TestWithParam<const char*> {
 protected:
  TorchFormatTest() : path_(kData + "/" + GetParam()) {
    auto file = TorchFile::Open(path_);
    EXPECT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
  }
  const PickleValue& Value(absl::string_view name) const { return *TorchFile::Find(file_->root(), name); }

  std::string path_;
  std::unique_ptr<TorchFile> file_;
};
INSTANTIATE_TEST_SUITE_P(All, TorchFormatTest, ::testing::Values("odd.pt", "odd_stream.pt"),
                         [](const auto& format) { return std::string(format.index == 0 ? "Archive" : "Stream"); });

TEST_P(TorchFormatTest, EveryTypeAndLayoutReadsAsPyTorchMeansIt) {
  const auto expected = SafetensorsFile::Open(kData + "/expected.safetensors");
  ASSERT_TRUE(expected.ok()) << expected.status();
  for (const char* name : {"transposed", "columns", "rows", "half", "bfloat16", "double", "parameter", "channels_last",
                           "scalar", "empty", "tiny"}) {
    EXPECT_EQ(Floats(*file_, Value(name), name), *expected->Read<float>(absl::StrCat("odd.", name))) << name;
    EXPECT_EQ(file_->Tensor(Value(name), name)->shape, expected->entries().at(absl::StrCat("odd.", name)).shape);
  }
  const auto numbers = file_->Tensor(Value("long"), "long");
  std::vector<int64_t> values(5);
  ASSERT_TRUE(file_->ReadBytes(*numbers, 0, {reinterpret_cast<std::byte*>(values.data()), 40}).ok());
  EXPECT_EQ(values, *expected->Read<int64_t>("odd.long"));
}

TEST_P(TorchFormatTest, PiecesInAnyOrderAreThoseOfTheWhole) {
  for (const char* name : {"double", "transposed"}) {
    const auto tensor = file_->Tensor(Value(name), name);
    const std::vector<float> whole = Floats(*file_, Value(name), name);
    for (const auto& [begin, count] : {std::pair{7, 5}, {12, 12}, {0, 3}, {3, 4}, {23, 1}}) {
      std::vector<float> piece(static_cast<size_t>(count));
      ASSERT_TRUE(file_->ReadFloats(*tensor, begin, absl::MakeSpan(piece)).ok());
      EXPECT_EQ(piece, std::vector<float>(whole.begin() + begin, whole.begin() + begin + count)) << name << begin;
    }
  }
}

TEST_P(TorchFormatTest, WhatIsNotWhatWasAskedForIsRefusedByName) {
  EXPECT_EQ(file_->Tensor(file_->root(), "the file").status().message(), path_ + ": the file is a dict, not a tensor");
  const auto numbers = file_->Tensor(Value("long"), "long");
  float value;
  EXPECT_EQ(file_->ReadFloats(*numbers, 0, {&value, 1}).message(),
            path_ + ": a tensor of I64 where floats are expected");
  EXPECT_EQ(TorchFile::Find(file_->root(), "none"), nullptr);
}

// Opens a changed copy of a file.
class TorchDamageTest : public TorchFormatTest {
 protected:
  ~TorchDamageTest() override { std::filesystem::remove(changed_); }

  absl::Status OpenAndReadAll(const std::string& bytes) const {
    std::filesystem::remove(changed_);  // replacing a file's contents waits for the disk
    std::ofstream(changed_, std::ios::binary) << bytes;
    const auto file = TorchFile::Open(changed_);
    if (!file.ok()) return file.status();
    for (const auto& [key, value] : (*file)->root().entries) {
      const auto tensor = (*file)->Tensor(*value, key->text);
      if (!tensor.ok()) return tensor.status();
      std::vector<std::byte> values(static_cast<size_t>(tensor->elements()) * DtypeSize(tensor->dtype));
      const absl::Status status = (*file)->ReadBytes(*tensor, 0, absl::MakeSpan(values));
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  const std::string changed_ = TemporaryPath(".pt");
};
INSTANTIATE_TEST_SUITE_P(All, TorchDamageTest, ::testing::Values("odd.pt", "odd_stream.pt"),
                         [](const auto& format) { return std::string(format.index == 0 ? "Archive" : "Stream"); });

TEST_P(TorchDamageTest, AFileThatIsCutOffIsRefusedByName) {
  const std::string bytes = *ReadFile(path_);
  for (size_t length = 0; length < bytes.size(); length += length < 64 ? 1 : 37) {
    const absl::Status status = OpenAndReadAll(bytes.substr(0, length));
    EXPECT_FALSE(status.ok()) << length;
    EXPECT_THAT(std::string(status.message()), HasSubstr(changed_)) << length;
  }
}

TEST_P(TorchDamageTest, NoByteThatIsFlippedMakesItCrash) {
  const std::string bytes = *ReadFile(path_);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    std::string flipped = bytes;
    flipped[i] = static_cast<char>(flipped[i] ^ 0xff);
    const absl::Status status = OpenAndReadAll(flipped);
    EXPECT_TRUE(status.ok() || absl::StrContains(status.message(), changed_)) << i << ": " << status;
  }
}

class TorchFileTest : public ::testing::Test {
 protected:
  ~TorchFileTest() override { std::filesystem::remove(path_); }
  absl::Status Open(const std::string& bytes) const {
    EXPECT_TRUE(WriteFileAtomically(path_, bytes).ok());
    return TorchFile::Open(path_).status();
  }
  const std::string path_ = TemporaryPath("_other.pt");
};

// A file in the stream format whose objects are `pickle`.
std::string Stream(const std::string& pickle) {
  const std::string odd = *ReadFile(kData + "/odd_stream.pt");
  return odd.substr(0, 21) + "}." + pickle;  // the magic number and the version
}

TEST_F(TorchFileTest, WhatIsNoFileOfPyTorchIsRefused) {
  EXPECT_EQ(Open("no archive").message(), path_ + ": is no file of PyTorch's torch.save");
  EXPECT_EQ(Open("").message(), path_ + ": is no file of PyTorch's torch.save");
  EXPECT_EQ(Open("version https://git-lfs.github.com/spec/v1\n").message(),
            path_ +
                ": is no file of PyTorch's torch.save; it is a pointer of Git LFS, whose file was not fetched (git lfs "
                "pull)");
  EXPECT_EQ(Open(*ReadFile(ARCSHARD_SOURCE_DIR "/tests/data/adamw.safetensors")).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TorchFile::Open("/none.pt").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(TorchFileTest, ACallOfAnythingElseIsNeverMadeAndRefusedWhereATensorIsAskedForOfIt) {
  const std::string marker = TemporaryPath("_was_here");
  ASSERT_TRUE(WriteFileAtomically(path_, Stream("cposix\nsystem\n(S'touch " + marker + "'\ntR.].")).ok());
  const auto file = TorchFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->Tensor((*file)->root(), "it").status().message(),
            path_ + ": it is an object of posix.system, not a tensor");
  EXPECT_FALSE(std::filesystem::exists(marker));
}

TEST_F(TorchFileTest, AStorageOfUnknownTypeHidesOnlyThoseBehindIt) {
  const auto id = [](absl::string_view type, absl::string_view key) {
    return absl::StrCat("((U\7storagec", type, "\nU\1", key, "U\3cpuK\4tQ");
  };
  const auto tensor = [&](absl::string_view type, absl::string_view key) {
    return absl::StrCat("U\1", key, "ctorch._utils\n_rebuild_tensor\n", id(type, key), "K", std::string(1, '\0'),
                        "(K\4t(K\1ttRs");
  };
  const std::string storage = "\4\0\0\0\0\0\0\0"s + std::string(16, '\1');
  ASSERT_TRUE(
      WriteFileAtomically(
          path_, Stream(absl::StrCat("}", tensor("torch\nFloatStorage", "a"), tensor("some\nStorage", "b"),
                                     tensor("torch\nIntStorage", "c"), ".](U\1aU\1bU\1ce.", storage, storage, storage)))
          .ok());
  const auto file = TorchFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  const auto of = [&](absl::string_view name) {
    return (*file)->Tensor(*TorchFile::Find((*file)->root(), name), name).status();
  };
  EXPECT_TRUE(of("a").ok()) << of("a");
  EXPECT_EQ(of("b").message(), path_ + ": b is of a type that is not read here, in a storage of some Storage");
  EXPECT_EQ(of("c").message(),
            path_ + ": storage c lies behind one of type some Storage, whose size is not known here");
}

TEST_F(TorchFileTest, Protocol0HasNoStoragesAndSaysSo) {
  EXPECT_EQ(
      Open(Stream("P('storage', <class>, '0')\n.](U\1ae.") + std::string(24, '\1')).message(),
      path_ + ": was written with pickle_protocol=0, which loses where tensors lie; PyTorch cannot read it either");
}

TEST_F(TorchFileTest, AnOrderedDictOfPython2HasItsEntries) {
  ASSERT_TRUE(WriteFileAtomically(path_, Stream("ccollections\nOrderedDict\n(](](U\1aK\1e](U\1bK\2eetR.].")).ok());
  const auto file = TorchFile::Open(path_);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(TorchFile::IsDict((*file)->root()));
  EXPECT_EQ(TorchFile::Entries((*file)->root()).size(), 2u);
  ASSERT_NE(TorchFile::Find((*file)->root(), "b"), nullptr);
  EXPECT_EQ(TorchFile::Find((*file)->root(), "b")->integer, 2);
}

// Files in which PyTorch kept tensors beside objects of many classes (tests/reference/make_insightface_case.py).
class TorchCompanyTest : public TorchFormatTest {};
INSTANTIATE_TEST_SUITE_P(All, TorchCompanyTest,
                         ::testing::Values("company_2.pt", "company_5.pt", "company_stream_1.pt", "company_stream_2.pt",
                                           "company_stream_5.pt"),
                         [](const auto& format) { return std::string(absl::StripSuffix(format.param, ".pt")); });

TEST_P(TorchCompanyTest, WhatElseAFileHoldsDoesNotStandInTheWayOfItsTensors) {
  const std::vector<float> expected = {0, 0.25, 0.5, 0.75, 1, 1.25};
  for (const char* name : {"plain", "parameter", "attributed", "subclass"}) {
    EXPECT_EQ(Floats(*file_, Value(name), name), expected) << name;
  }
  EXPECT_EQ(*file_->Integer(Value("number"), "number"), 7);
  if (TorchFile::Find(file_->root(), "float8") == nullptr) return;  // the older format has no such types
  const auto coarse = file_->Tensor(Value("float8"), "float8");
  ASSERT_TRUE(coarse.ok()) << coarse.status();
  float value = 0;
  const absl::Status refused = file_->ReadFloats(*coarse, 0, {&value, 1});
  EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(refused.message(), HasSubstr("a tensor of F8_E4M3, whose 2 or 3 bits of fraction are too few"));
  const auto numbers = file_->Tensor(Value("uint16"), "uint16");
  ASSERT_TRUE(numbers.ok()) << numbers.status();
  std::vector<int64_t> values(2);
  ASSERT_TRUE(file_->ReadIntegers(*numbers, 0, absl::MakeSpan(values)).ok());
  EXPECT_EQ(values, (std::vector<int64_t>{1, 65535}));
}

TEST_P(TorchCompanyTest, WhatIsNoTensorIsNamedWhereOneIsAskedFor) {
  const auto refusal = [&](const PickleValue& value) {
    return std::string(file_->Tensor(value, "it").status().message());
  };
  EXPECT_EQ(refusal(Value("arguments")), path_ + ": it is an object of argparse.Namespace, not a tensor");
  EXPECT_THAT(refusal(*Value("others").items[0]), HasSubstr("it is of a type that is not read here, in a storage of"));
  EXPECT_THAT(refusal(*Value("others").items[1]), HasSubstr("it is an object of torch._utils._rebuild_sparse_tensor"));
  EXPECT_THAT(std::string(file_->Integer(Value("arguments"), "step").status().message()),
              HasSubstr("step is an object of argparse.Namespace, not a number"));
}

// A tensor in the storage "a" of four elements; shape and strides as opcodes that push integers.
std::string TensorOf(int64_t offset, const std::string& shape, const std::string& strides) {
  return absl::StrCat(
      "ctorch._utils\n_rebuild_tensor\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0aX\3\0\0\0cpuK\4tQ"s, "I",
      offset, "\n(", shape, "t(", strides, "ttR.");
}

TEST_F(TorchFileTest, ATensorBeyondItsStorageIsRefused) {
  // One storage of four float32.
  const std::string keys = "]X\1\0\0\0aa.\4\0\0\0\0\0\0\0"s + std::string(16, '\1');
  const auto bounds = [&](int64_t offset, const std::string& shape, const std::string& strides) -> absl::Status {
    EXPECT_TRUE(WriteFileAtomically(path_, Stream(TensorOf(offset, shape, strides) + keys)).ok());
    const auto file = TorchFile::Open(path_);
    if (!file.ok()) return file.status();
    return (*file)->Tensor((*file)->root(), "it").status();
  };
  EXPECT_TRUE(bounds(0, "K\2K\2", "K\2K\1").ok()) << bounds(0, "K\2K\2", "K\2K\1");
  EXPECT_TRUE(bounds(0, "K\2K\2", "K\1K\2").ok());
  EXPECT_TRUE(bounds(3, "", "").ok()) << "a scalar";
  const std::string huge = "I4611686018427387904\n";
  for (const absl::Status& status :
       {bounds(1, "K\2K\2", "K\2K\1"), bounds(4, "", ""), bounds(0, "K\2", "K\4"), bounds(0, "K\5", "I0\n"),
        bounds(0, huge + huge, "I0\nI0\n"), bounds(0, huge, huge), bounds(0, "K\2", "I9223372036854775807\n"),
        bounds(9223372036854775807, "K\2", "K\1")}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("it reaches beyond its storage a of 16 bytes"));
  }
  EXPECT_TRUE(bounds(0, huge + huge + "I0\n", "K\1K\1K\1").ok()) << "it has no element";
  for (const absl::Status& status : {bounds(-1, "K\1", "K\1"), bounds(0, "I-1\n", "K\1"), bounds(0, "K\1", "I-1\n"),
                                     bounds(0, "K\1K\1", "K\1"), bounds(0, "N", "K\1")}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("such as PyTorch writes"));
  }
}

}  // namespace
}  // namespace arcshard
