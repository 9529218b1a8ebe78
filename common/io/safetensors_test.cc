#include "common/io/safetensors.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "common/io/safetensors_header.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SafetensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "safetensors_test_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/a.safetensors";
    ASSERT_TRUE(memory_.CreateFolders(folder_).ok());
    ASSERT_TRUE(memory_.Create(path_).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Opens a file that consists of this header, unchanged, and so many bytes of data.
  absl::Status OpenWithHeader(const std::string& header, size_t data_bytes = 0) {
    const uint64_t length = header.size();
    std::string contents(sizeof(length), '\0');
    std::memcpy(contents.data(), &length, sizeof(length));
    EXPECT_TRUE(WriteFileAtomically(path_, contents + header + std::string(data_bytes, '\0')).ok());
    return SafetensorsFile::Open(path_).status();
  }

  void ExpectRefused(const std::string& header, size_t data_bytes, const std::string& reason) {
    const absl::Status status = OpenWithHeader(header, data_bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << header.substr(0, 200);
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_)) << header.substr(0, 200);
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason)) << header.substr(0, 200);
  }

  // Opens `contents` as a file, without a disk.
  absl::StatusOr<SafetensorsFile> OpenContents(absl::string_view contents) {
    memory_.SetContents(path_, contents);
    auto source = memory_.Open(path_);
    EXPECT_TRUE(source.ok()) << source.status();
    return SafetensorsFile::Open(*std::move(source));
  }

  // Three tensors, one of each width, and metadata.
  void WriteSmallFile() {
    const std::vector<double> doubles = {0.5, -2.0};
    const std::vector<float> floats = {1, 2, 3, 4, 5, 6};
    const std::vector<uint8_t> bytes = {7, 8, 9};
    ASSERT_TRUE(
        WriteSafetensors(path_,
                         {TensorView::Of<uint8_t>("bytes", {3}, bytes), TensorView::Of<float>("floats", {3, 2}, floats),
                          TensorView::Of<double>("doubles", {2, 1}, doubles)},
                         {{"made_by", "a test"}})
            .ok());
  }

  std::string folder_;
  std::string path_;
  MemoryFileSystem memory_;
};

TEST_F(SafetensorsTest, WhatWasWrittenIsReadBack) {
  WriteSmallFile();
  const SafetensorsFile file = *SafetensorsFile::Open(path_);
  EXPECT_THAT(*file.Read<float>("floats"), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(*file.Read<double>("doubles"), ElementsAre(0.5, -2.0));
  EXPECT_THAT(*file.Read<uint8_t>("bytes"), ElementsAre(7, 8, 9));
  EXPECT_THAT(file.entries().at("floats").shape, ElementsAre(3, 2));
  EXPECT_EQ(file.entries().at("floats").dtype, TensorDtype::kF32);
  EXPECT_EQ(file.metadata(), (SafetensorsMetadata{{"made_by", "a test"}}));
  for (const auto& [name, entry] : file.entries()) EXPECT_EQ(entry.offset % DtypeSize(entry.dtype), 0u) << name;
}

TEST_F(SafetensorsTest, ScalarsEmptyTensorsAndFilesWithoutTensorsAreAllowed) {
  const std::vector<int64_t> scalar = {-5};
  ASSERT_TRUE(WriteSafetensors(
                  path_, {TensorView::Of<int64_t>("scalar", {}, scalar), TensorView::Of<float>("empty", {0, 4}, {})})
                  .ok());
  const SafetensorsFile file = *SafetensorsFile::Open(path_);
  EXPECT_THAT(*file.Read<int64_t>("scalar"), ElementsAre(-5));
  std::vector<int64_t> row(1);
  EXPECT_THAT(std::string(file.ReadRows<int64_t>("scalar", 0, 1, absl::MakeSpan(row)).message()),
              HasSubstr("it is a scalar"));
  EXPECT_TRUE(file.Read<float>("empty")->empty());
  EXPECT_TRUE(file.ReadRows<float>("empty", 0, 0, {}).ok());
  ASSERT_TRUE(WriteSafetensors(path_, {}).ok());
  EXPECT_TRUE(SafetensorsFile::Open(path_)->entries().empty());
}

// A description of `tensors` bytes, each a tensor.
std::string HeaderOf(int tensors) {
  std::string header = "{";
  for (int i = 0; i < tensors; ++i) {
    absl::StrAppend(&header, i == 0 ? "" : ",", "\"layer", i, "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[",
                    i, ",", i + 1, "]}");
  }
  return header + "}";
}

TEST_F(SafetensorsTest, AHeaderIsReadInASingleLookAtEachValueHoweverManyTensorsItHas) {
  const auto values = [](int tensors) {
    const auto header = safetensors_internal::ParseHeader(HeaderOf(tensors), static_cast<uint64_t>(tensors));
    EXPECT_TRUE(header.ok()) << header.status();
    return header.ok() ? header->values : 0;
  };
  EXPECT_EQ(values(1), 11u);
  EXPECT_EQ(values(20'000), 20'000u * 11);
}

// What grows with the square of the tensors takes so long for these that the test is ended.
TEST_F(SafetensorsTest, AFileOfManyTensorsIsOpened) {
  constexpr int kTensors = 300'000;
  EXPECT_TRUE(OpenWithHeader(HeaderOf(kTensors), kTensors).ok());
  EXPECT_THAT(std::string(OpenWithHeader(HeaderOf(kTensors), kTensors + 1).message()), HasSubstr("1 bytes follow"));
}

TEST_F(SafetensorsTest, RowsAreReadByRange) {
  WriteSmallFile();
  const SafetensorsFile file = *SafetensorsFile::Open(path_);
  std::vector<float> rows(4);
  ASSERT_TRUE(file.ReadRows<float>("floats", 1, 3, absl::MakeSpan(rows)).ok());
  EXPECT_THAT(rows, ElementsAre(3, 4, 5, 6));
  EXPECT_TRUE(file.ReadRows<float>("floats", 3, 3, {}).ok());
  for (const auto& [begin, end] : std::vector<std::pair<int64_t, int64_t>>{{-1, 1}, {2, 4}, {2, 0}, {4, 6}}) {
    EXPECT_EQ(file.ReadRows<float>("floats", begin, end, absl::MakeSpan(rows)).code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(file.ReadRows<float>("floats", 0, 1, absl::MakeSpan(rows)).code(), absl::StatusCode::kInvalidArgument);
  std::vector<uint8_t> bytes(2);  // a row of a vector is one element
  ASSERT_TRUE(file.ReadRows<uint8_t>("bytes", 1, 3, absl::MakeSpan(bytes)).ok());
  EXPECT_THAT(bytes, ElementsAre(8, 9));
}

TEST_F(SafetensorsTest, AnotherTypeOrNameThanTheFilesIsRefusedByName) {
  WriteSmallFile();
  const SafetensorsFile file = *SafetensorsFile::Open(path_);
  const absl::Status type = file.Read<double>("floats").status();
  EXPECT_EQ(type.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(type.message(), path_ + ": tensor 'floats' is F32, not F64");
  const absl::Status name = file.Read<float>("weights").status();
  EXPECT_EQ(name.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(name.message(), path_ + ": has no tensor 'weights'");
}

TEST_F(SafetensorsTest, AFileCutAnywhereIsRefused) {
  WriteSmallFile();
  const std::string whole = *ReadFile(path_);
  for (size_t length = 0; length < whole.size(); ++length) {
    const absl::Status status = OpenContents(whole.substr(0, length)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << length;
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_)) << length;
  }
  EXPECT_THAT(std::string(OpenContents(whole + "x").status().message()), HasSubstr("1 bytes follow the last tensor"));
}

TEST_F(SafetensorsTest, AnyDamagedHeaderByteIsRefusedOrHarmless) {
  WriteSmallFile();
  const std::string whole = *ReadFile(path_);
  uint64_t header_length;
  std::memcpy(&header_length, whole.data(), sizeof(header_length));
  int refused = 0;
  for (size_t position = 0; position < 8 + header_length; ++position) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = whole;
      damaged[position] = static_cast<char>(damaged[position] ^ (1 << bit));
      const absl::StatusOr<SafetensorsFile> file = OpenContents(damaged);
      if (!file.ok()) {
        EXPECT_EQ(file.status().code(), absl::StatusCode::kDataLoss);
        ++refused;
        continue;
      }
      // The change hit a name, a text, or a dtype or shape without changing the size. The entries must lie inside the
      // file all the same.
      for (const auto& [name, entry] : file->entries()) {
        EXPECT_LE(entry.offset + entry.bytes, whole.size());
        (void)file->Read<float>(name).ok();
        (void)file->Read<uint8_t>(name).ok();
      }
    }
  }
  EXPECT_GT(refused, 800);
}

TEST_F(SafetensorsTest, HeadersThatBreakTheFormatAreRefusedWithTheReason) {
  ExpectRefused("", 0, "does not begin with '{'");
  ExpectRefused(" {}", 0, "does not begin with '{'");
  ExpectRefused("{", 0, "not valid JSON at its byte 2");
  ExpectRefused("{}{}", 0, "not valid JSON");
  ExpectRefused("{\"\xff\":{}}", 0, "not valid JSON");
  ExpectRefused("{\"a\":1e999}", 0, "out of range");
  ExpectRefused("{\"a\":1}", 0, "tensor 'a' is not described by dtype, shape and data_offsets");
  ExpectRefused(R"({"__metadata__":{"a":1}})", 0, "metadata 'a' is not a string");
  ExpectRefused(R"({"__metadata__":[]})", 0, "__metadata__ is not an object");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1]}})", 4, "is not described by");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":0}})", 4, "is not described by");
  ExpectRefused(R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", 4, "unknown dtype 'F33'");
  ExpectRefused(R"({"a":{"dtype":4,"shape":[1],"data_offsets":[0,4]}})", 4, "dtype is not a string");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", 4, "shape is not a list");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "something else than sizes");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "something else than sizes");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}})", 4,
                "something else than sizes");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "not a pair of offsets");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}})", 4, "not a pair of offsets");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "ends at 0, before its begin 4");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4,
                "takes 4 bytes, but its shape and dtype make 8");
}

TEST_F(SafetensorsTest, SizesThatOverflowAreRefusedAndNotAllocated) {
  // 2^32 · 2^32 · 4 is 0 in 64 bits, and so are the bytes that the file claims.
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0,
                "more bytes than 63 bits count");
  ExpectRefused(R"({"a":{"dtype":"U8","shape":[18014398509481984],"data_offsets":[0,18014398509481984]}})", 16,
                "past the 16 bytes of data");
  uint64_t length = ~uint64_t{0};
  std::string contents(sizeof(length), '\0');
  std::memcpy(contents.data(), &length, sizeof(length));
  ASSERT_TRUE(WriteFileAtomically(path_, contents).ok());
  EXPECT_EQ(SafetensorsFile::Open(path_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SafetensorsTest, GapsOverlapsAndRepeatedKeysAreRefused) {
  const auto tensor = [](const char* name, int begin, int end) {
    return absl::StrCat("\"", name, R"(":{"dtype":"U8","shape":[)", end - begin, R"(],"data_offsets":[)", begin, ",",
                        end, "]}");
  };
  EXPECT_TRUE(OpenWithHeader(absl::StrCat("{", tensor("a", 4, 8), ",", tensor("b", 0, 4), "}"), 8).ok());
  ExpectRefused(absl::StrCat("{", tensor("a", 0, 4), ",", tensor("b", 5, 8), "}"), 8,
                "begins at 5, but the one before it ends at 4");
  ExpectRefused(absl::StrCat("{", tensor("a", 0, 4), ",", tensor("b", 3, 8), "}"), 8,
                "begins at 3, but the one before it ends at 4");
  ExpectRefused(absl::StrCat("{", tensor("a", 0, 4), ",", tensor("b", 0, 4), "}"), 4,
                "begins at 0, but the one before it ends at 4");
  ExpectRefused(absl::StrCat("{", tensor("a", 1, 4), "}"), 4, "begins at 1");
  ExpectRefused(absl::StrCat("{", tensor("a", 0, 4), ",", tensor("a", 0, 4), "}"), 4, "names 'a' twice");
  ExpectRefused(R"({"a":{"dtype":"U8","shape":[4],"shape":[4],"data_offsets":[0,4]}})", 4, "names 'shape' twice");
}

TEST_F(SafetensorsTest, ADeeplyNestedHeaderIsRefusedWithoutRecursion) {
  ExpectRefused("{\"a\":" + std::string(1000000, '[') + "}", 0, "nested deeper");
}

TEST_F(SafetensorsTest, TheWriterTakesPiecesInTheDeclaredOrderOnly) {
  const std::vector<TensorSpec> specs = {
      {"a", TensorDtype::kF32, {2, 2}}, {"none", TensorDtype::kF32, {0}}, {"b", TensorDtype::kU8, {1}}};
  SafetensorsWriter writer = *SafetensorsWriter::Create(path_, specs, {});
  const std::vector<float> values = {1, 2, 3, 4, 5};
  const std::vector<uint8_t> byte = {9};
  EXPECT_THAT(std::string(writer.Append<uint8_t>("b", byte).message()),
              HasSubstr("'b' is not the next to be written, 'a' is"));
  EXPECT_THAT(std::string(writer.Append<uint8_t>("a", byte).message()), HasSubstr("is declared as F32, not U8"));
  EXPECT_THAT(std::string(writer.Append<float>("a", values).message()), HasSubstr("takes 16 bytes, not 0 and 20 more"));
  EXPECT_TRUE(writer.Append<float>("a", absl::MakeConstSpan(values).subspan(0, 1)).ok());
  const absl::Status unfinished = writer.Finish();
  EXPECT_EQ(unfinished.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(unfinished.message()), HasSubstr("'a' lacks 12 of its 16 bytes"));
  EXPECT_TRUE(writer.Append<float>("a", absl::MakeConstSpan(values).subspan(1, 3)).ok());
  EXPECT_TRUE(writer.Append<uint8_t>("b", byte).ok());
  EXPECT_THAT(std::string(writer.Append<uint8_t>("b", byte).message()), HasSubstr("all are"));
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(writer.Finish().ok());
  EXPECT_THAT(*SafetensorsFile::Open(path_)->Read<float>("a"), ElementsAre(1, 2, 3, 4));
}

TEST_F(SafetensorsTest, AWriterThatIsDroppedLeavesNothing) {
  { const auto writer = SafetensorsWriter::Create(path_, {{"a", TensorDtype::kF32, {2}}}, {}); }
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(SafetensorsTest, DeclarationsThatCannotBeWrittenAreRefused) {
  const auto refused = [&](std::vector<TensorSpec> specs, const SafetensorsMetadata& metadata, const char* reason) {
    const absl::Status status = SafetensorsWriter::Create(path_, std::move(specs), metadata).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
    EXPECT_THAT(std::string(status.message()), HasSubstr(path_));
  };
  refused({{"a", TensorDtype::kU8, {1}}, {"a", TensorDtype::kU8, {1}}}, {}, "'a' is declared twice");
  refused({{"__metadata__", TensorDtype::kU8, {1}}}, {}, "is declared twice");
  refused({{"a", TensorDtype::kU8, {-1}}}, {}, "a dimension of -1");
  refused({{"a", TensorDtype::kF32, {int64_t{1} << 32, int64_t{1} << 32}}}, {}, "more bytes than 63 bits count");
  refused({{"a", TensorDtype::kU8, {3}}, {"b", TensorDtype::kF32, {1}}}, {}, "declare wide types first");
  refused({{"\xff", TensorDtype::kU8, {1}}}, {}, "not UTF-8");
  refused({{"a", TensorDtype::kU8, {1}}}, {{"a", "\xff"}}, "not UTF-8");
}

TEST_F(SafetensorsTest, PythonsSafetensorsReadsWhatIsWrittenAndTheReverse) {
  const std::string python = ARCSHARD_SOURCE_DIR "/.deps/python/bin/python";
  ASSERT_TRUE(std::filesystem::exists(python)) << python << " is missing: run scripts/setup";
  WriteSmallFile();
  const std::string theirs = folder_ + "/theirs.safetensors";
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/check.py", R"(
import sys
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file
with safe_open(sys.argv[1], framework="np") as f:
    assert f.metadata() == {"made_by": "a test"}, f.metadata()
    assert sorted(f.keys()) == ["bytes", "doubles", "floats"], f.keys()
    floats, doubles, raw = (f.get_tensor(k) for k in ("floats", "doubles", "bytes"))
assert floats.dtype == np.float32 and floats.tolist() == [[1, 2], [3, 4], [5, 6]], floats
assert doubles.dtype == np.float64 and doubles.tolist() == [[0.5], [-2.0]], doubles
assert raw.dtype == np.uint8 and raw.tolist() == [7, 8, 9], raw
save_file({"x": np.arange(6, dtype=np.int32).reshape(2, 3), "y": np.array([1.5])}, sys.argv[2], metadata={"k": "é"})
)")
                  .ok());
  const std::string command = absl::StrCat("'", python, "' '", folder_, "/check.py' '", path_, "' '", theirs, "'");
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const auto file = SafetensorsFile::Open(theirs);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(*file->Read<int32_t>("x"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(*file->Read<double>("y"), ElementsAre(1.5));
  EXPECT_EQ(file->metadata().at("k"), "é");
}

}  // namespace
}  // namespace arcshard
