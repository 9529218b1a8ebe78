// Opens data sets of every format, with the format named and with the format detected.
#include "worker/data/open_dataset.h"

#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/loader.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"

namespace arcshard::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class OpenDatasetTest : public ::testing::Test {
 protected:
  void Image(absl::string_view name, int shade = 0) { folder_.Write(name, EncodeJpeg(PatternImage(8, 8, shade), {})); }
  absl::StatusOr<std::unique_ptr<EncodedDataset>> Open(DatasetOptions options = {}) {
    if (options.path.empty()) options.path = folder_.path();
    return OpenEncodedDataset(options);
  }
  std::string MessageOf(const DatasetOptions& options) {
    const absl::Status status = Open(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    return std::string(status.message());
  }
  // "label path" of every sample, with paths relative to the folder.
  std::vector<std::string> Samples(const EncodedDataset& dataset) {
    std::vector<std::string> samples;
    EncodedSample sample;
    for (int64_t i = 0; i < dataset.samples(); ++i) {
      EXPECT_EQ(dataset.ReadEncoded(i, &sample), absl::OkStatus());
      const std::string name = dataset.NameOf(i);
      samples.push_back(absl::StrCat(sample.label, " ", name.substr(folder_.path().size() + 1)));
    }
    return samples;
  }

  TestFolder folder_;
};

TEST_F(OpenDatasetTest, ClassFoldersAreLabelledInTheOrderOfTheirNames) {
  for (const char* name : {"pear/b.JPG", "pear/a.png", "Zebra/2.jpeg", "apple/10.jpg", "apple/9.jpg"}) Image(name);
  folder_.Write("apple/notes.txt", "no image");
  folder_.Write("apple/.hidden.jpg", "no image");
  folder_.Write(".cache/1.jpg", "no class");
  folder_.Write("loose.jpg", "of no class");
  std::filesystem::create_directories(folder_.Path("nothing"));
  auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->classes(), 4) << "Zebra, apple, nothing, pear";
  EXPECT_THAT(Samples(**dataset),
              ElementsAre("0 Zebra/2.jpeg", "1 apple/10.jpg", "1 apple/9.jpg", "3 pear/a.png", "3 pear/b.JPG"));
  EXPECT_EQ((*Open({.classes = 9}))->classes(), 9);
  EXPECT_EQ(MessageOf({.classes = 3}), absl::StrCat(folder_.path(), " has 4 class folders, more than N = 3"));
}

TEST_F(OpenDatasetTest, TheSeedsFoldersAreLabelledByTheirNumber) {
  folder_.Write("property", "12,8,8");
  for (const char* name : {"00000002/b.jpg", "00000002/a.jpg", "00000011/c.jpg", "3/no.jpg", "validation/no.jpg"}) {
    Image(name);
  }
  auto dataset = Open();
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->classes(), 12) << "numbers that are left out are classes without images";
  EXPECT_THAT(Samples(**dataset), ElementsAre("2 00000002/a.jpg", "2 00000002/b.jpg", "11 00000011/c.jpg"));
  EXPECT_EQ((*Open({.classes = 20}))->classes(), 20);
  EXPECT_THAT(MessageOf({.classes = 11}), HasSubstr("folder 00000011 of "));
  EXPECT_THAT(MessageOf({.classes = 11}), HasSubstr("beyond N = 11 classes: folders are 00000000 to 00000010"));

  folder_.Write("property", "twelve");
  EXPECT_THAT(MessageOf({}), HasSubstr("property is not \"classes,height,width\""));
  std::filesystem::remove(folder_.Path("property"));
  EXPECT_EQ(Open({.format = "seed"}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ((*Open())->classes(), 4) << "without property these are folders of classes";
}

TEST_F(OpenDatasetTest, AListHasAPathAndALabelALine) {
  for (const char* name : {"a.jpg", "in/b c.jpg", "elsewhere/a.jpg"}) Image(name);
  const std::string list =
      folder_.Write("list.txt", absl::StrCat("a.jpg\t4\n\nin/b c.jpg 0\r\n  ", folder_.Path("a.jpg"), " \t 2"));
  auto dataset = Open({.path = list});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->classes(), 5);
  EXPECT_THAT(Samples(**dataset), ElementsAre("4 a.jpg", "0 in/b c.jpg", "2 a.jpg"));

  folder_.Write("list.txt", "a.jpg 1\n");
  dataset = Open({.path = list, .root = folder_.Path("elsewhere"), .classes = 7});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->classes(), 7);
  EXPECT_THAT(Samples(**dataset), ElementsAre("1 elsewhere/a.jpg"));
}

TEST_F(OpenDatasetTest, ALineOfAListThatIsWrongIsRefusedWithItsNumber) {
  const auto message = [&](absl::string_view lines) {
    return MessageOf({.path = folder_.Write("list.txt", lines), .classes = 3});
  };
  const std::string list = folder_.Path("list.txt");
  EXPECT_EQ(message("a.jpg 0\nb.jpg\n"), absl::StrCat("line 2 of ", list, " is not \"path label\""));
  EXPECT_EQ(message("\n\na.jpg one\n"),
            absl::StrCat("line 3 of ", list, " has the label 'one'; a label is a whole number from 0 to 999999999"));
  for (const char* label : {"-1", "1.5", "1e3", "99999999999999999999", "1000000000"}) {
    EXPECT_THAT(message(absl::StrCat("a.jpg ", label)),
                HasSubstr(absl::StrCat("line 1 of ", list, " has the label '", label)));
  }
  EXPECT_EQ(message("a.jpg 0\nb.jpg 3\n"),
            absl::StrCat("line 2 of ", list, " has label 3, but with N = 3 classes labels are 0 to 2"));
  EXPECT_EQ(message("\n \n"), absl::StrCat(list, " lists no images"));
}

TEST_F(OpenDatasetTest, AFileThatIsNotThereEndsARunAndADamagedOneIsReplaced) {
  const std::string list = folder_.Write("list.txt", "gone.jpg 0\nempty.jpg 1\n");
  folder_.Write("empty.jpg", "");
  auto dataset = Open({.path = list});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  SampleBuffers buffers;
  EXPECT_EQ((*dataset)->Read(0, 8, &buffers).status().code(), absl::StatusCode::kNotFound);
  const absl::Status damaged = (*dataset)->Read(1, 8, &buffers).status();
  EXPECT_EQ(damaged.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(damaged.message(), absl::StrCat(folder_.Path("empty.jpg"), ": neither JPEG nor PNG (0 bytes)"));
}

TEST_F(OpenDatasetTest, AFileTooLargeForAnImageIsDamagedAndNotReadWhole) {
  Image("a/1.jpg");
  std::filesystem::resize_file(folder_.Path("a/1.jpg"),
                               uint64_t{1} << 40);  // a sparse file, which takes no space on the disk
  EncodedSample sample;
  const absl::Status status = (*Open())->ReadEncoded(0, &sample);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("a/1.jpg: 1099511627776 bytes"));
}

TEST_F(OpenDatasetTest, TheFormatIsToldByWhatLiesThere) {
  EXPECT_EQ(DetectFormat(folder_.path()).status().message(),
            absl::StrCat(folder_.path(),
                         " holds no training set: neither train.rec (recordio), nor property and "
                         "folders such as 00000000 (seed), nor a folder with .jpg, .jpeg, .jpe, .jfif or .png images "
                         "for each class (folders)"));
  EXPECT_EQ(DetectFormat(folder_.Path("none")).status().code(), absl::StatusCode::kNotFound);
  Image("00000000/1.jpg");
  EXPECT_EQ(*DetectFormat(folder_.path()), DatasetFormat::kFolders);
  const std::string property = folder_.Write("property", "1,8,8");
  EXPECT_EQ(*DetectFormat(folder_.path()), DatasetFormat::kSeed);
  EXPECT_EQ(*DetectFormat(property), DatasetFormat::kList) << "any file";
  folder_.Write("train.rec", "");
  EXPECT_EQ(*DetectFormat(folder_.path()), DatasetFormat::kRecordIo);
}

TEST_F(OpenDatasetTest, EverySuffixOfJpegAndPngIsRead) {
  for (const char* name : {"a/1.jpg", "a/2.JPEG", "a/3.jfif", "a/4.Jpe", "a/5.png", "a/6 .jpg"}) Image(name);
  folder_.Write("a/.jpg", "hidden");
  const auto dataset = *Open();
  EXPECT_EQ(dataset->samples(), 6);
  EXPECT_EQ(dataset->Suffixes(), "1 .jfif, 1 .jpe, 1 .jpeg, 2 .jpg, 1 .png");
  EXPECT_THAT(dataset->Warnings(), ::testing::IsEmpty());
}

TEST_F(OpenDatasetTest, PicturesThatAreNotReadAreNamedWithNumberFormatAndPlace) {
  for (const char* name : {"a/1.jpg", "b/1.jpg", "b/deeper/2.jpg", "b/deeper/still/3.jpg", "top.jpg"}) Image(name);
  for (const char* name : {"a/1.webp", "a/2.WEBP", "b/3.tif", "b/deeper/4.tif"}) folder_.Write(name, "");
  for (const char* name : {"a/Thumbs.db", "a/.5.webp", "b/.git/6.jpg"}) folder_.Write(name, "");
  const auto path = [&](absl::string_view name) { return HasSubstr(folder_.Path(name)); };
  EXPECT_THAT((*Open())->Warnings(),
              ElementsAre(AllOf(StartsWith("2 files are not read: pictures .tif, such as "), HasSubstr("/b/")),
                          AllOf(StartsWith("2 files are not read: pictures .webp, such as "), HasSubstr("/a/")),
                          AllOf(StartsWith("2 files are not read: images in folders within a class's folder"),
                                path("b/deeper/")),
                          AllOf(StartsWith("1 file is not read: images beside the folders of"), path("top.jpg"))));

  folder_.Write("property", "18,8,8");
  Image("00000017/1.jpg");
  folder_.Write("00000017/2.gif", "");
  EXPECT_THAT((*Open())->Warnings(),
              ElementsAre(StartsWith("1 file is not read: pictures .gif"),
                          StartsWith("2 files are not read: images in folders that are no class, such as ")));
}

TEST_F(OpenDatasetTest, WhatWasPerhapsMeantIsSaidWhereThereIsNoTrainingSet) {
  for (int i = 0; i < 3; ++i) folder_.Write(absl::StrCat("faces/s1/", i, ".pgm"), "P5");
  EXPECT_THAT(MessageOf({.path = folder_.Path("faces")}),
              AllOf(HasSubstr("holds no training set"), HasSubstr("; 3 files are not read: pictures .pgm, such as ")));
  Image("set/train/a/1.jpg");
  EXPECT_THAT(MessageOf({.path = folder_.Path("set")}), HasSubstr("did you mean " + folder_.Path("set/train") + "?"));
  Image("flat/1.jpg");
  EXPECT_THAT(MessageOf({.path = folder_.Path("flat")}), HasSubstr("1 file is not read: images beside the folders"));
}

TEST_F(OpenDatasetTest, ListsWithCommasAndListsOfPairsAreTold) {
  const auto message = [&](absl::string_view lines) { return MessageOf({.path = folder_.Write("list.txt", lines)}); };
  for (const char* line : {"a.jpg,0\n", "my a.jpg,0\n", "a.jpg, 0\n", "path,label\n"}) {
    EXPECT_THAT(message(line), AllOf(HasSubstr("line 1 of "), HasSubstr("did you mean a comma-separated list?")))
        << line;
  }
  EXPECT_TRUE(Open({.path = folder_.Write("list.txt", "Smith, John.jpg 0\n")}).ok()) << "a comma within a name";
  EXPECT_THAT(message("a.jpg\tb.jpg\t1\n"), HasSubstr("belongs to verification.sets"));
}

TEST_F(OpenDatasetTest, ListsOfOtherProgramsAreToldByTheirFields) {
  const auto message = [&](absl::string_view lines) { return MessageOf({.path = folder_.Write("t.lst", lines)}); };
  for (const char* line : {"1\tdata/c000/000.jpg\t0\n", "0\tmy data/0.jpg\t17\n", "1\ta.jpg\t3\t10\t20\t100\t120\n",
                           "1\ta.jpg\t0\t1.5\t2.5\n"}) {
    EXPECT_THAT(message(line), AllOf(HasSubstr("line 1 of "), HasSubstr("InsightFace's .lst"))) << line;
  }
  for (const char* line : {"0\t7\tdata/c000/000.jpg\n", "12\t7.000000\tmy a.jpg\n", "3 7 a.jpg\n"}) {
    EXPECT_THAT(message(line), AllOf(HasSubstr("line 1 of "), HasSubstr("MXNet's .lst"))) << line;
  }
  for (const char* line : {"0 a.jpg\n", "17\tdata/a.jpg\n"}) {
    EXPECT_THAT(message(line), HasSubstr("; the label comes behind the path")) << line;
  }
  EXPECT_TRUE(Open({.path = folder_.Write("t.lst", "1/2 3.jpg 0\n4 5 6\n")}).ok()) << "paths may be numbers";
}

TEST_F(OpenDatasetTest, AByteOrderMarkIsNoPartOfAPathOrANumber) {
  Image("a.jpg");
  const auto dataset = Open({.path = folder_.Write("list.txt",
                                                   "\xef\xbb\xbf"
                                                   "a.jpg 0\n")});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_THAT(Samples(**dataset), ElementsAre("0 a.jpg"));
  folder_.Write("property",
                "\xef\xbb\xbf"
                "3,8,8");
  Image("00000002/a.jpg");
  EXPECT_EQ((*Open({.format = "seed"}))->classes(), 3);
  folder_.Write("property", std::string("\xff\xfe"
                                        "3\0,\0008\0",
                                        8));
  EXPECT_THAT(MessageOf({.format = "seed"}), HasSubstr("property is a text in UTF-16; save it as UTF-8"));
}

TEST_F(OpenDatasetTest, AFileThatIsNoListIsCalledWhatItIs) {
  const auto message = [&](absl::string_view name, absl::string_view bytes) {
    return MessageOf({.path = folder_.Write(name, bytes)});
  };
  EXPECT_EQ(message("list.txt", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
            folder_.Path("list.txt") + " is a pointer of Git LFS, whose file was not fetched (git lfs pull)");
  EXPECT_THAT(message("list.txt", EncodeJpeg(PatternImage(8, 8, 0), {})), HasSubstr("list.txt is a JPEG image"));
  EXPECT_THAT(message("list.txt",
                      "\xff\xfe"
                      "a"),
              HasSubstr("list.txt is a text in UTF-16; save it as UTF-8"));
  EXPECT_THAT(message("run.yaml", "run:\n  folder: a\n"),
              HasSubstr("; if this is a run's configuration, the training set is what its data.train"));
  EXPECT_THAT(message("run.yml", "data: {train: x}\n"), HasSubstr("the training set is what its data.train names"));
}

TEST_F(OpenDatasetTest, ALineWithoutEndIsRefusedByAShortSentence) {
  const std::string endless(5'000'000, 'a');
  for (const std::string& line :
       {endless, endless + " 0\n", "a.jpg " + endless, endless + ", 0", endless + "\tb.jpg\t0"}) {
    const std::string message = MessageOf({.path = folder_.Write("list.txt", line)});
    EXPECT_THAT(message, HasSubstr("line 1 of "));
    EXPECT_LT(message.size(), 600u);
  }
}

TEST_F(OpenDatasetTest, WhatIsNoDataOfTheFormatIsRefusedWithASentence) {
  EXPECT_EQ(MessageOf({.format = "tar"}),
            "'tar' is not a data format; they are auto, recordio, seed, folders, list and synthetic");
  EXPECT_THAT(MessageOf({.format = "folders"}),
              HasSubstr("has no folders with images (.jpg, .jpeg, .jpe, .jfif or .png): one"));
  std::filesystem::create_directories(folder_.Path("empty"));
  EXPECT_THAT(MessageOf({.format = "folders"}), HasSubstr("has no folder with images"));
  folder_.Write("property", "2,8,8");
  EXPECT_THAT(MessageOf({.format = "seed"}),
              HasSubstr("has no folders such as 00000000 with images (.jpg, .jpeg, .jpe, .jfif or .png)"));
  EXPECT_EQ(MessageOf({.format = "synthetic"}), "synthetic data has no files");
  EXPECT_THAT(MessageOf({.format = "folders", .root = "/r"}), HasSubstr("is not a list; its format is folders"));
  EXPECT_EQ(MessageOf({.classes = -1}), "a data set can't have -1 classes");
  for (const char* format : {"folders", "seed"}) {
    const absl::Status status = Open({.path = folder_.Path("property"), .format = format}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("property: cannot list the folder: Not a directory"));
  }
  EXPECT_EQ(Open({.format = "list"}).status().code(), absl::StatusCode::kFailedPrecondition) << "a folder";
}

TEST_F(OpenDatasetTest, TheFingerprintIsOfNamesAndLabelsNotOfTheFolder) {
  const TestFolder other;
  std::set<uint64_t> different;
  const auto fingerprint = [](const TestFolder& folder) {
    return (*OpenEncodedDataset({.path = folder.path()}))->fingerprint();
  };
  for (const char* name : {"a/1.jpg", "b/1.jpg", "b/2.jpg", "a/3.jpg"}) {
    Image(name);
    other.Write(name, "the bytes do not matter");
    EXPECT_EQ(fingerprint(folder_), fingerprint(other)) << name;
    different.insert(fingerprint(folder_));
  }
  different.insert((*Open({.classes = 3}))->fingerprint());
  EXPECT_EQ(different.size(), 5u);
}

DatasetOptions Synthetic(int64_t samples, int64_t classes, uint64_t seed = 1) {
  return {.format = "synthetic", .classes = classes, .synthetic_samples = samples, .seed = seed};
}

TEST(SyntheticDatasetTest, ImagesAndLabelsAreDrawnFromSeedAndSample) {
  const auto dataset = *OpenDataset(Synthetic(1000, 1'000'000'000));
  const auto same = *OpenDataset(Synthetic(1000, 1'000'000'000));
  const auto other = *OpenDataset(Synthetic(1000, 1'000'000'000, 2));
  EXPECT_EQ(dataset->samples(), 1000);
  EXPECT_EQ(dataset->classes(), 1'000'000'000);
  EXPECT_EQ(dataset->fingerprint(), same->fingerprint());
  EXPECT_NE(dataset->fingerprint(), other->fingerprint());
  SampleBuffers a, b, c;
  for (const int64_t sample : {0, 999}) {
    for (const int side : {5, 112}) {  // 75 bytes: the last block is used in part
      const LabeledImage one = *dataset->Read(sample, side, &a);
      EXPECT_EQ(one.image->width, side);
      EXPECT_EQ(one.image->height, side);
      const LabeledImage again = *same->Read(sample, side, &b);
      EXPECT_EQ(one.label, again.label);
      EXPECT_EQ(one.image->pixels, again.image->pixels);
      EXPECT_NE(one.image->pixels, other->Read(sample, side, &c)->image->pixels);
    }
  }
}

TEST(SyntheticDatasetTest, LabelsAndPixelsAreUniform) {
  const auto dataset = *OpenDataset(Synthetic(4000, 4));
  std::map<int64_t, int> of_class;
  SampleBuffers buffers;
  double sum = 0, squares = 0, count = 0;
  for (int64_t i = 0; i < dataset->samples(); ++i) {
    const LabeledImage read = *dataset->Read(i, 8, &buffers);
    ++of_class[read.label];
    for (const uint8_t value : read.image->pixels) {
      sum += value;
      squares += double{1} * value * value;
      ++count;
    }
  }
  ASSERT_EQ(of_class.size(), 4u);
  for (const auto& [label, images] : of_class) EXPECT_NEAR(images, 1000, 110) << label;  // 4 standard deviations
  EXPECT_NEAR(sum / count, 127.5, 0.5);
  EXPECT_NEAR(squares / count - (sum / count) * (sum / count), (256.0 * 256 - 1) / 12, 30);
}

TEST(SyntheticDatasetTest, ItsSamplesComeThroughTheLoader) {
  const auto dataset = *OpenDataset(Synthetic(10, 1'000'000));
  LoaderOptions options;
  options.image_size = 16;
  auto loader = *Loader::Create(options, dataset.get());
  ASSERT_TRUE(loader->Request({0, 0, 10}).ok());
  auto batch = loader->Next();
  ASSERT_TRUE(batch.ok()) << batch.status();
  SampleBuffers buffers;
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ((*batch)->labels[i], dataset->Read((*batch)->samples[i], 16, &buffers)->label);
  }
}

TEST(SyntheticDatasetTest, WithoutClassesOrSamplesItIsRefused) {
  for (const auto& [samples, classes] : {std::pair{0, 3}, {3, 0}}) {
    EXPECT_EQ(OpenDataset(Synthetic(samples, classes)).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST(DatasetOptionsTest, EveryKeyOfTheConfigurationArrives) {
  RunConfig config;
  config.data.train = "/t";
  config.data.format = "list";
  config.data.root = "/r";
  config.data.synthetic_samples = 5;
  config.head.classes = 6;
  config.run.seed = 7;
  const DatasetOptions options = DatasetOptionsOf(config);
  EXPECT_EQ(options.path, "/t");
  EXPECT_EQ(options.format, "list");
  EXPECT_EQ(options.root, "/r");
  EXPECT_EQ(options.synthetic_samples, 5);
  EXPECT_EQ(options.classes, 6);
  EXPECT_EQ(options.seed, 7u);
}

}  // namespace
}  // namespace arcshard::worker
