// Reads the files that `arcshard data` writes by a reference reader in Python (tests/reference/read_records.py).
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/io/file.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/open_dataset.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"
#include "worker/data/tools/pack.h"
#include "worker/data/tools/pairs.h"

namespace arcshard::worker {
namespace {

const std::string kGrocery = ARCSHARD_SOURCE_DIR "/examples/grocery/data";

class DataReferenceTest : public ::testing::Test {
 protected:
  // Runs the reader, which prints its errors to stderr.
  void ReadInPython(const std::string& what, const std::string& source, const std::string& out) {
    const std::string command =
        absl::StrJoin({std::string(ARCSHARD_SOURCE_DIR "/.deps/python/bin/python"),
                       std::string(ARCSHARD_SOURCE_DIR "/tests/reference/read_records.py"), what, source, out},
                      " ");
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
  }
  static std::unique_ptr<EncodedDataset> Open(const std::string& path) {
    auto dataset = OpenEncodedDataset({.path = path});
    EXPECT_TRUE(dataset.ok()) << dataset.status();
    return *std::move(dataset);
  }
  // Expects that record `first` + i has sample i's label and bytes.
  static void ExpectSamples(const EncodedDataset& dataset, int64_t first, const std::string& out) {
    EncodedSample sample;
    for (int64_t i = 0; i < dataset.samples(); ++i) {
      ASSERT_TRUE(dataset.ReadEncoded(i, &sample).ok());
      const auto image = ReadFile(absl::StrCat(out, "/", first + i, ".", sample.label, ".image"));
      ASSERT_TRUE(image.ok()) << image.status();
      EXPECT_EQ(*image, sample.image());
    }
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(out), {}), dataset.samples() + 1);
  }

  TestFolder folder_;
};

TEST_F(DataReferenceTest, PackedFoldersAreReadByItImageForImage) {
  int shade = 0;
  for (const char* name : {"a/1.jpg", "b/1.png", "b/2.jpg", "c/1.jpg", "c/2.jpg", "c/3.jpg"}) {
    folder_.Write(absl::StrCat("images/", name), EncodeJpeg(PatternImage(16, 16, shade++), {}));
  }
  // The magic number follows the image at a multiple of 4, so this record is written in several parts.
  std::string parts = EncodeJpeg(PatternImage(16, 16, 7), {});
  parts.append(4 - parts.size() % 4, '\0');
  folder_.Write("images/c/4.jpg", absl::StrCat(parts, "\x0a\x23\xd7\xce", "tail"));
  const auto dataset = Open(folder_.Path("images"));
  ASSERT_EQ(PackDataset(*dataset, folder_.Path("packed"), {}).status(), absl::OkStatus());
  ReadInPython("records", folder_.Path("packed"), folder_.Path("read"));
  ExpectSamples(*dataset, 1, folder_.Path("read"));
  EXPECT_EQ(*ReadFile(folder_.Path("read/identities.txt")), "1 2\n2 4\n4 8\n");
}

TEST_F(DataReferenceTest, AListWithoutAHeaderIsReadByItToo) {
  folder_.Write("1.jpg", EncodeJpeg(PatternImage(16, 16, 1), {}));
  folder_.Write("2.jpg", EncodeJpeg(PatternImage(16, 16, 2), {}));
  const auto dataset = Open(folder_.Write("list.txt", "1.jpg 0\n2.jpg 1\n1.jpg 0\n"));
  ASSERT_EQ(PackDataset(*dataset, folder_.Path("packed"), {}).status(), absl::OkStatus());
  ReadInPython("records", folder_.Path("packed"), folder_.Path("read"));
  ExpectSamples(*dataset, 0, folder_.Path("read"));
}

TEST_F(DataReferenceTest, TheGroceriesUnpackToTheImagesThatItReads) {
  ReadInPython("records", kGrocery, folder_.Path("read"));
  ExpectSamples(*Open(kGrocery), 1, folder_.Path("read"));
  ASSERT_EQ(UnpackDataset(*Open(kGrocery), folder_.Path("unpacked"), {}).status(), absl::OkStatus());
  ExpectSamples(*Open(folder_.Path("unpacked")), 1, folder_.Path("read"));
}

TEST_F(DataReferenceTest, PairsAreLoadedByPythonsPickle) {
  const auto dataset = Open(kGrocery);
  std::vector<ImagePair> pairs = {{0, 1, true}, {2, 90, false}, {5, 5, true}};
  ASSERT_EQ(WritePairs(*dataset, pairs, folder_.Path("set.bin")), absl::OkStatus());
  ReadInPython("pairs", folder_.Path("set.bin"), folder_.Path("read"));
  EXPECT_EQ(*ReadFile(folder_.Path("read/flags.txt")), "1\n0\n1\n");
  EncodedSample sample;
  for (size_t i = 0; i < 6; ++i) {
    ASSERT_TRUE(dataset->ReadEncoded(i % 2 == 0 ? pairs[i / 2].first : pairs[i / 2].second, &sample).ok());
    EXPECT_EQ(*ReadFile(folder_.Path(absl::StrCat("read/", i, ".image"))), sample.image());
  }
}

}  // namespace
}  // namespace arcshard::worker
