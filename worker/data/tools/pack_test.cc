#include "worker/data/tools/pack.h"

#include <cerrno>
#include <cmath>
#include <filesystem>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/testing/refused_call.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/loader.h"
#include "worker/data/open_dataset.h"
#include "worker/data/recordio/record_file.h"
#include "worker/data/recordio/record_header.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::unique_ptr<EncodedDataset> Open(const std::string& path) {
  auto dataset = OpenEncodedDataset({.path = path});
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  return *std::move(dataset);
}

// The labels and bytes of all samples.
std::vector<std::pair<int64_t, std::string>> Contents(const EncodedDataset& dataset) {
  std::vector<std::pair<int64_t, std::string>> contents;
  EncodedSample sample;
  for (int64_t i = 0; i < dataset.samples(); ++i) {
    EXPECT_EQ(dataset.ReadEncoded(i, &sample), absl::OkStatus());
    contents.emplace_back(sample.label, std::string(sample.image()));
  }
  return contents;
}

// Every image of some epochs, as training gets it.
std::vector<LoadedBatch> Epochs(const Dataset& dataset) {
  LoaderOptions options;
  options.seed = 5;
  options.image_size = 16;
  options.augment = {.flip = true, .rotate_degrees = 10, .translate = 0.1, .scale = 0.1};
  options.threads = 2;
  options.max_corrupt_share = 1;
  auto loader = *Loader::Create(options, &dataset);
  std::vector<LoadedBatch> batches;
  for (uint64_t epoch = 0; epoch < 2; ++epoch) {
    for (int64_t first = 0; first < dataset.samples(); first += 4) {
      EXPECT_TRUE(loader->Request({epoch, first, std::min<int64_t>(4, dataset.samples() - first)}).ok());
      auto batch = loader->Next();
      EXPECT_TRUE(batch.ok()) << batch.status();
      batches.push_back(std::move(**batch));
    }
  }
  return batches;
}

void ExpectSameBatches(const Dataset& a, const Dataset& b) {
  ASSERT_EQ(a.samples(), b.samples());
  EXPECT_EQ(a.classes(), b.classes());
  const std::vector<LoadedBatch> one = Epochs(a), two = Epochs(b);
  ASSERT_EQ(one.size(), two.size());
  for (size_t i = 0; i < one.size(); ++i) {
    EXPECT_EQ(one[i].images, two[i].images) << i;
    EXPECT_EQ(one[i].labels, two[i].labels) << i;
    EXPECT_EQ(one[i].samples, two[i].samples) << i;
  }
}

class PackTest : public ::testing::Test {
 protected:
  // Class folders with JPEG and PNG images of several sizes; the last class has none.
  void WriteFolders() {
    int shade = 0;
    for (const char* name : {"pear/1.jpg", "pear/2.jpg", "apple/1.png", "apple/2.JPEG", "apple/3.jpg", "fig/1.jpg"}) {
      const Image image = PatternImage(16 + shade, 16, shade);
      const bool png = absl::string_view(name) == "apple/1.png";
      from_.Write(name, png ? EncodePng(image) : EncodeJpeg(image, {}));
      ++shade;
    }
    std::filesystem::create_directories(from_.Path("quince"));
  }
  absl::StatusOr<PackReport> Pack(const PackOptions& options = {}) {
    return PackDataset(*Open(from_.path()), to_.path(), options);
  }

  TestFolder from_, to_;
};

TEST_F(PackTest, TrainingOnWhatWasPackedSeesTheSameBits) {
  WriteFolders();
  const auto report = Pack();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->classes, 4);
  EXPECT_EQ(report->images, 6);
  EXPECT_EQ(report->bytes, static_cast<int64_t>(std::filesystem::file_size(to_.Path("train.rec"))));
  EXPECT_TRUE(report->ordered);
  EXPECT_THAT(report->left_out, IsEmpty());
  const auto folders = Open(from_.path()), packed = Open(to_.path());
  EXPECT_EQ(Contents(*folders), Contents(*packed)) << "the bytes are the files'";
  ExpectSameBatches(*folders, *packed);
}

TEST_F(PackTest, HeaderAndIdentitiesSayWhichRecordsAreAClass) {
  WriteFolders();  // apple 3, fig 1, pear 2, quince 0
  ASSERT_TRUE(Pack().ok());
  const auto records = *RecordFile::Open(to_.Path("train.rec"), to_.Path("train.idx"));
  ASSERT_EQ(records->size(), 11);
  std::vector<std::pair<float, float>> ranges;
  std::string payload;
  for (const int64_t number : {0, 7, 8, 9, 10}) {
    ASSERT_TRUE(records->Read(number, &payload).ok());
    RecordHeader header;
    ASSERT_TRUE(header.Parse(payload));
    EXPECT_EQ(header.labels, 2u);
    EXPECT_EQ(header.end, payload.size());
    ranges.emplace_back(header.label, header.second_label);
  }
  EXPECT_THAT(ranges, ::testing::ElementsAre(std::pair{7, 11}, std::pair{1, 4}, std::pair{4, 5}, std::pair{5, 7},
                                             std::pair{7, 7}));
}

TEST_F(PackTest, AListWhoseClassesAreMixedKeepsItsOrderWithoutHeader) {
  WriteFolders();
  const std::string list = from_.Write("list.txt", "pear/1.jpg 1\nfig/1.jpg 0\npear/2.jpg 1\n");
  const auto from = Open(list);
  const auto report = PackDataset(*from, to_.path(), {});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->ordered);
  EXPECT_EQ(Contents(*from), Contents(*Open(to_.path())));
  ExpectSameBatches(*from, *Open(to_.path()));

  // The images of a class are neighbours, though the second class comes first.
  from_.Write("list.txt", "pear/1.jpg 1\npear/2.jpg 1\nfig/1.jpg 0\n");
  EXPECT_TRUE(PackDataset(*Open(list), to_.path(), {.force = true})->ordered);
  EXPECT_EQ(Contents(*Open(list)), Contents(*Open(to_.path())));
}

TEST_F(PackTest, UnpackingIsTheInverse) {
  const std::string grocery = ARCSHARD_SOURCE_DIR "/examples/grocery/data";
  const std::string folders = to_.Path("folders"), packed = to_.Path("packed");
  const auto report = UnpackDataset(*Open(grocery), folders, {.threads = 2});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->images, 96);
  EXPECT_EQ(*DetectFormat(folders), DatasetFormat::kSeed);
  EXPECT_EQ(*ReadFile(folders + "/property"), *ReadFile(grocery + "/property"));
  EXPECT_TRUE(std::filesystem::exists(folders + "/00000011/00000095.jpg"));
  EXPECT_EQ(Contents(*Open(grocery)), Contents(*Open(folders)));
  ExpectSameBatches(*Open(grocery), *Open(folders));

  ASSERT_TRUE(PackDataset(*Open(folders), packed, {}).ok());
  for (const char* name : {"/train.rec", "/train.idx", "/property"}) {
    EXPECT_EQ(*ReadFile(packed + name), *ReadFile(grocery + name)) << name << ", packed by Python";
  }
}

TEST_F(PackTest, ResizedImagesAreEncodedAgainAndThoseOfThatSizeAreNot) {
  WriteFolders();  // 16 + shade pixels wide; pear/1.jpg is 16 × 16
  const auto report = Pack({.resize = 16, .threads = 2});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_FALSE(report->mixed);
  EXPECT_EQ(*ReadFile(to_.Path("property")), "4,16,16\n");
  const auto before = Contents(*Open(from_.path())), after = Contents(*Open(to_.path()));
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(before[i].first, after[i].first);
    EXPECT_EQ(before[i].second == after[i].second, i == 4) << "pear/1.jpg";
    EXPECT_EQ(before[i].second.substr(0, 3), after[i].second.substr(0, 3)) << "JPEG stays JPEG, PNG stays PNG";
    ImageReader one, two;
    const Image *resized = nullptr, *stored = nullptr;
    ASSERT_TRUE(one.Read(before[i].second, 16, &resized).ok());
    ASSERT_TRUE(two.Read(after[i].second, 16, &stored).ok());
    double squares = 0;
    for (size_t p = 0; p < resized->pixels.size(); ++p) {
      squares += std::pow(double{1} * resized->pixels[p] - stored->pixels[p], 2);
    }
    EXPECT_LT(std::sqrt(squares / static_cast<double>(resized->pixels.size())), i == 0 ? 1e-9 : 12) << i;
  }
}

TEST_F(PackTest, DifferentSizesAreReportedAndPropertyHasTheMostFrequent) {
  WriteFolders();
  from_.Write("pear/3.jpg", EncodeJpeg(PatternImage(20, 16, 9), {}));  // the size of apple/3.jpg
  const auto report = Pack();
  EXPECT_TRUE(report->mixed);
  EXPECT_EQ(*ReadFile(to_.Path("property")), "4,16,20\n");
}

TEST_F(PackTest, DamagedImagesAreRefusedByNameOrLeftOut) {
  WriteFolders();
  from_.Write("apple/2.JPEG", "no image");
  from_.Write("fig/0.png", EncodePng(PatternImage(16, 16, 1)).substr(0, 60));
  const absl::Status refused = Pack().status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("2 of the 7 images of "));
  EXPECT_THAT(std::string(refused.message()), HasSubstr(from_.Path("apple/2.JPEG: neither JPEG nor PNG (8 bytes); ")));
  EXPECT_THAT(std::string(refused.message()), HasSubstr(from_.Path("fig/0.png: not a whole PNG image: cut off")));
  EXPECT_TRUE(std::filesystem::is_empty(to_.path()));

  const auto report = Pack({.skip_damaged = true, .threads = 3});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_THAT(report->left_out, SizeIs(2));
  const auto packed = Open(to_.path());
  EXPECT_EQ(packed->samples(), 5);
  EXPECT_EQ(packed->classes(), 4);
  std::filesystem::remove(from_.Path("apple/2.JPEG"));
  std::filesystem::remove(from_.Path("fig/0.png"));
  EXPECT_EQ(Contents(*packed), Contents(*Open(from_.path())));
}

TEST_F(PackTest, AFileThatIsMissingIsNoDamageToSkip) {
  const std::string list = from_.Write("list.txt", "gone.jpg 0\n");
  const absl::Status status = PackDataset(*Open(list), to_.path(), {.skip_damaged = true}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(from_.Path("gone.jpg")));
}

TEST_F(PackTest, NothingButDamagedImagesMakeNoDataSet) {
  from_.Write("apple/1.jpg", "no image");
  EXPECT_THAT(std::string(Pack({.skip_damaged = true}).status().message()), HasSubstr("has no undamaged image"));
}

TEST_F(PackTest, WhatIsThereIsReplacedOnlyByForce) {
  WriteFolders();
  for (const char* name : {"train.rec", "train.idx", "property"}) {
    to_.Write(name, "old");
    const absl::Status status = Pack().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
    EXPECT_EQ(status.message(), absl::StrCat(to_.Path(name), " already exists; --force replaces it"));
    EXPECT_EQ(*ReadFile(to_.Path(name)), "old");
    std::filesystem::remove(to_.Path(name));
  }
  to_.Write("train.rec", "old");
  to_.Write("readme.txt", "stays");
  ASSERT_EQ(Pack({.force = true}).status(), absl::OkStatus());
  EXPECT_EQ(Open(to_.path())->samples(), 6);
  EXPECT_EQ(*ReadFile(to_.Path("readme.txt")), "stays");
}

TEST_F(PackTest, AFileWhereAFolderShouldBeIsNamed) {
  WriteFolders();
  const std::string file = to_.Write("file", "");
  const absl::Status status = PackDataset(*Open(from_.path()), file, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(file));
  const absl::Status unpacked = UnpackDataset(*Open(from_.path()), file, {}).status();
  EXPECT_EQ(unpacked.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(unpacked.message(), absl::StrCat(file, " already exists and is not an empty folder"));
}

TEST_F(PackTest, NothingIsWrittenIntoTheFolderOfTheImages) {
  WriteFolders();
  const auto expect_refused = [&](const std::string& out) {
    const absl::Status packed = PackDataset(*Open(from_.path()), out, {.force = true}).status();
    const absl::Status unpacked = UnpackDataset(*Open(from_.path()), out, {}).status();
    for (const absl::Status& status : {packed, unpacked}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
      EXPECT_THAT(std::string(status.message()), HasSubstr("the folder of the images that are read: name another"));
    }
  };
  for (const std::string& out : {from_.path(), from_.Path(""), from_.Path("apple/.."), from_.Path("apple"),
                                 from_.Path("new"), from_.Path("new/deep/")}) {
    expect_refused(out);
  }
  std::filesystem::create_directory_symlink(from_.path(), to_.Path("link"));
  expect_refused(to_.Path("link/new"));
  EXPECT_FALSE(std::filesystem::exists(from_.Path("new")));
  EXPECT_EQ(Open(from_.path())->samples(), 6);
}

TEST_F(PackTest, UnpackingSyncsAllDisksWhereTheKernelCannotSyncOneAndFailsWhereTheDiskDoes) {
  WriteFolders();
  for (const int error : {ENOSYS, EIO}) {
    bool refused = false;
    const std::string out = to_.Path(absl::StrCat("out-", error));
    absl::Status status;
    std::thread([&] {
      refused = RefuseCall(SYS_syncfs, error);
      status = UnpackDataset(*Open(from_.path()), out, {}).status();
    }).join();
    if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
    EXPECT_EQ(status.ok(), error != EIO) << status;
    EXPECT_EQ(std::filesystem::exists(out), error != EIO) << error;
    if (error != EIO) {
      EXPECT_EQ(Open(out)->samples(), 6) << error;
    } else {
      EXPECT_THAT(std::string(status.message()), HasSubstr("cannot sync to disk"));
    }
  }
}

TEST_F(PackTest, UnpackingIntoAFolderThatIsNotEmptyIsRefusedAndLeavesNothing) {
  WriteFolders();
  to_.Write("out/mine", "stays");
  EXPECT_EQ(UnpackDataset(*Open(from_.path()), to_.Path("out"), {}).status().code(), absl::StatusCode::kAlreadyExists);
  std::filesystem::remove(to_.Path("out/mine"));
  from_.Write("apple/2.JPEG", "no image");
  EXPECT_EQ(UnpackDataset(*Open(from_.path()), to_.Path("out/"), {}).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(std::filesystem::is_empty(to_.Path("out")));
  const auto report = UnpackDataset(*Open(from_.path()), to_.Path("out/"), {.skip_damaged = true});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(Open(to_.Path("out"))->samples(), 5);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(to_.path()), {}), 1) << "no temporary folder is left";
}

}  // namespace
}  // namespace arcshard::worker
