#include "common/checkpoint/class_rows.h"

#include <unistd.h>

#include <bit>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/part_writer.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kFolder[] = "/run/checkpoints/step-00000001.1";

struct Tensor {
  TensorSpec spec;
  std::string bytes;
};

template <typename T>
Tensor TensorOf(std::string name, TensorDtype dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
  return {{std::move(name), dtype, std::move(shape)},
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}

// Row r is r, r + 0.5, ...
Tensor Floats(RowKind kind, ClassRange rows, int64_t dim = 2) {
  std::vector<float> values;
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    for (int64_t d = 0; d < dim; ++d) values.push_back(static_cast<float>(row) + 0.5f * static_cast<float>(d));
  }
  return TensorOf(RowTensorName(kind, rows), TensorDtype::kF32, {rows.size(), dim}, values);
}

Tensor Narrow(Tensor tensor) {
  std::string narrow;
  for (size_t i = 0; i < tensor.bytes.size(); i += 4) narrow += tensor.bytes.substr(i + 2, 2);
  return {{tensor.spec.name, TensorDtype::kBF16, tensor.spec.shape}, narrow};
}

class ClassRowsTest : public ::testing::Test {
 protected:
  FileRecord Write(const std::string& name, const std::vector<Tensor>& tensors) {
    std::vector<TensorSpec> specs;
    for (const Tensor& tensor : tensors) specs.push_back(tensor.spec);
    auto part = PartWriter::Create(&disk_, kFolder, name, specs, {});
    EXPECT_TRUE(part.ok()) << part.status();
    for (const Tensor& tensor : tensors) {
      EXPECT_EQ((*part)->Append(
                    tensor.spec.name, tensor.spec.dtype,
                    absl::MakeConstSpan(reinterpret_cast<const std::byte*>(tensor.bytes.data()), tensor.bytes.size())),
                absl::OkStatus());
    }
    return *(*part)->Finish();
  }

  // A checkpoint of one file for each list.
  absl::StatusOr<ClassRows> RowsOf(const std::vector<std::vector<Tensor>>& files) {
    Manifest manifest;
    for (const auto& tensors : files) {
      manifest.files.push_back(Write(absl::StrCat("part-", manifest.files.size(), ".safetensors"), tensors));
    }
    EXPECT_EQ(WriteManifest(&disk_, kFolder, manifest), absl::OkStatus());
    const absl::StatusOr<OpenCheckpoint> checkpoint = OpenCheckpoint::Open(&disk_, kFolder);
    EXPECT_TRUE(checkpoint.ok()) << checkpoint.status();
    absl::StatusOr<ClassRows> rows = ClassRows::Of(*checkpoint);
    EXPECT_EQ(RemoveCheckpoint(&disk_, kFolder), absl::OkStatus());  // what is open stays readable
    return rows;
  }

  void ExpectRefused(const std::vector<std::vector<Tensor>>& files, const std::string& reason) {
    const absl::Status status = RowsOf(files).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(reason));
  }

  MemoryFileSystem disk_;
};

std::vector<float> Read(const ClassRows& rows, RowKind kind, ClassRange range) {
  std::vector<float> out(static_cast<size_t>(range.size() * rows.dim()), -1.0f);
  const absl::Status status = rows.Read(kind, range, absl::MakeSpan(out));
  EXPECT_TRUE(status.ok()) << status;
  return out;
}

TEST_F(ClassRowsTest, AnyRangeIsReadFromHoweverManyFiles) {
  const auto rows =
      RowsOf({{Floats(RowKind::kCenters, {5, 7}), Floats(RowKind::kMoment0, {3, 7})},
              {TensorOf<float>("output_layer.weight", TensorDtype::kF32, {1}, {1}), Floats(RowKind::kCenters, {7, 7})},
              {Narrow(Floats(RowKind::kCenters, {3, 5})), Floats(RowKind::kCenters, {0, 3})}});
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->num_classes(), 7);
  EXPECT_EQ(rows->dim(), 2);
  EXPECT_TRUE(rows->Has(RowKind::kCenters));
  EXPECT_TRUE(rows->Has(RowKind::kMoment0));
  EXPECT_FALSE(rows->Has(RowKind::kMoment1));
  EXPECT_FALSE(rows->Has(RowKind::kCounts));
  for (int64_t begin = 0; begin <= 7; ++begin) {
    for (int64_t end = begin; end <= 7; ++end) {
      std::vector<float> wanted;
      for (int64_t row = begin; row < end; ++row) {
        wanted.push_back(static_cast<float>(row));
        wanted.push_back(static_cast<float>(row) + 0.5f);
      }
      EXPECT_EQ(Read(*rows, RowKind::kCenters, {begin, end}), wanted) << begin << "-" << end;
    }
  }
  EXPECT_THAT(Read(*rows, RowKind::kMoment0, {3, 4}), ElementsAre(3.0f, 3.5f));
}

TEST_F(ClassRowsTest, RowsThatNoFileHoldsAreNamed) {
  const auto rows = RowsOf({{Floats(RowKind::kCenters, {0, 3}), Floats(RowKind::kCenters, {4, 6})}});
  ASSERT_TRUE(rows.ok()) << rows.status();
  std::vector<float> out(12);
  const auto message = [&](RowKind kind, ClassRange range) {
    const absl::Status status = rows->Read(kind, range, absl::MakeSpan(out).first(range.size() * 2));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(message(RowKind::kCenters, {0, 6}), HasSubstr("holds no row 3 of class_centers"));
  EXPECT_THAT(message(RowKind::kCenters, {3, 4}), HasSubstr("holds no row 3 of class_centers"));
  EXPECT_THAT(message(RowKind::kCenters, {5, 7}), HasSubstr("holds no row 6 of class_centers"));
  EXPECT_THAT(message(RowKind::kMoment1, {2, 3}), HasSubstr("holds no row 2 of class_moment_1"));
  EXPECT_THAT(std::string(rows->Read(RowKind::kCenters, {0, 2}, absl::MakeSpan(out).first(3)).message()),
              HasSubstr("2 rows of 2 values are not 3 values"));
  EXPECT_EQ(rows->Read(RowKind::kCenters, {2, 1}, {}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rows->Read(RowKind::kCenters, {-1, 0}, absl::MakeSpan(out).first(2)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rows->Read(RowKind::kCounts, {0, 1}, absl::MakeSpan(out).first(2)).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ClassRowsTest, CountsAreReadAsTheyAre) {
  const std::vector<uint32_t> first = {1, 4000000000};
  const std::vector<uint32_t> second = {7};
  const auto rows = RowsOf({{TensorOf(RowTensorName(RowKind::kCounts, {0, 2}), TensorDtype::kU32, {2}, first)},
                            {TensorOf(RowTensorName(RowKind::kCounts, {2, 3}), TensorDtype::kU32, {1}, second)}});
  ASSERT_TRUE(rows.ok()) << rows.status();
  std::vector<uint32_t> out(2);
  EXPECT_EQ(rows->ReadCounts({1, 3}, absl::MakeSpan(out)), absl::OkStatus());
  EXPECT_THAT(out, ElementsAre(4000000000, 7));
  EXPECT_EQ(rows->ReadCounts({2, 4}, absl::MakeSpan(out)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rows->ReadCounts({0, 1}, absl::MakeSpan(out)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(rows->num_classes(), 0);
}

TEST_F(ClassRowsTest, EveryBfloat16IsWidenedExactly) {
  std::vector<uint16_t> all(1 << 16);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  const auto rows =
      RowsOf({{TensorOf(RowTensorName(RowKind::kMoment0, {0, 256}), TensorDtype::kBF16, {256, 256}, all)}});
  ASSERT_TRUE(rows.ok()) << rows.status();
  const std::vector<float> values = Read(*rows, RowKind::kMoment0, {0, 256});
  for (size_t i = 0; i < all.size(); ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), static_cast<uint32_t>(i) << 16);
  }
}

TEST_F(ClassRowsTest, RowsOfMoreThanABlockAreReadWhole) {
  constexpr int64_t kRows = 4000;
  constexpr int64_t kWide = 700;  // 10.7 MiB
  const std::vector<float> fives(kRows * kWide, 5.0f);
  const auto rows = RowsOf(
      {{TensorOf(RowTensorName(RowKind::kCenters, {0, kRows}), TensorDtype::kF32, {kRows, kWide}, fives),
        Narrow(TensorOf(RowTensorName(RowKind::kMoment0, {0, kRows}), TensorDtype::kF32, {kRows, kWide}, fives))}});
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_TRUE(Read(*rows, RowKind::kCenters, {0, kRows}) == fives);
  EXPECT_TRUE(Read(*rows, RowKind::kMoment0, {0, kRows}) == fives);
}

TEST_F(ClassRowsTest, WhatCannotBeRowsIsRefusedByName) {
  ExpectRefused({{Floats(RowKind::kCenters, {0, 3})}, {Floats(RowKind::kCenters, {2, 4})}},
                "row 2 of class_centers is stored twice, in 'class_centers.0-3' and 'class_centers.2-4'");
  ExpectRefused({{Floats(RowKind::kCenters, {0, 3})}, {Floats(RowKind::kMoment0, {0, 3}, 5)}},
                "'class_moment_0.0-3' has rows of 5 values, others of 2");
  Tensor wrong = Floats(RowKind::kCenters, {0, 3});
  for (const char* name : {"class_centers.0-4", "class_centers.1-3"}) {
    wrong.spec.name = name;
    ExpectRefused({{wrong}}, absl::StrCat("tensor '", name, "' holds 3 rows"));
  }
  for (const char* name : {"class_centers.", "class_centers.3", "class_centers.-3", "class_centers.00-3",
                           "class_centers.0-3-", "class_centers. 0-3", "class_centers.3-0", "class_centers.x"}) {
    wrong.spec.name = name;
    ExpectRefused({{wrong}}, "does not say which rows it holds");
  }
  ExpectRefused({{TensorOf<double>("class_centers.0-1", TensorDtype::kF64, {1, 1}, {1})}}, "is F64, not F32 or BF16");
  ExpectRefused({{TensorOf<float>("class_centers.0-1", TensorDtype::kF32, {1}, {1})}}, "has 1 dimensions, not 2");
  ExpectRefused({{TensorOf<float>("class_counts.0-1", TensorDtype::kF32, {1}, {1})}}, "is F32, not U32");
  ExpectRefused({{TensorOf<float>("class_centers.0-1", TensorDtype::kF32, {1, 0}, {})}}, "has rows of no values");
}

TEST_F(ClassRowsTest, SomebodyElsesFileHoldsRowsToo) {
  const std::string path = absl::StrCat(::testing::TempDir(), "class_rows_test_", getpid(), ".safetensors");
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  ASSERT_TRUE(WriteSafetensors(path, {TensorView::Of<float>("class_centers", {3, 2}, values),
                                      TensorView::Of<float>("class_centers_of_old", {3, 2}, values)})
                  .ok());
  const auto rows = ClassRows::OfFile(path);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->num_classes(), 3);
  EXPECT_THAT(Read(*rows, RowKind::kCenters, {1, 3}), ElementsAre(3, 4, 5, 6));
  EXPECT_EQ(std::remove(path.c_str()), 0);
  EXPECT_EQ(ClassRows::OfFile(path).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace arcshard
