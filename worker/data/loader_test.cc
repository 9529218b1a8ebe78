#include "worker/data/loader.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/recordio/record_dataset.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_images.h"
#include "worker/data/testing/test_records.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kSide = 8;

// Writes data sets of small images, in which sample i has label i.
class LoaderTest : public ::testing::Test {
 protected:
  void WriteDataset(int64_t samples, const std::vector<int64_t>& damaged = {}) {
    TestRecords writer;
    for (int64_t i = 0; i < samples; ++i) {
      std::string encoded = EncodeJpeg(PatternImage(kSide, kSide, static_cast<int>(i)), {});
      if (std::find(damaged.begin(), damaged.end(), i) != damaged.end()) encoded.resize(encoded.size() / 2);
      writer.Add(i, ImageRecord(static_cast<float>(i), encoded));
    }
    writer.WriteTo(folder_, samples);
    Open();
  }
  void Open() {
    auto dataset = RecordDataset::Open(folder_.path(), 0);
    ASSERT_TRUE(dataset.ok()) << dataset.status();
    dataset_ = *std::move(dataset);
  }
  std::unique_ptr<Loader> Start(const LoaderOptions& options) {
    auto loader = Loader::Create(options, dataset_.get());
    EXPECT_TRUE(loader.ok()) << loader.status();
    return *std::move(loader);
  }

  static LoaderOptions Options(int threads = 1, int prefetch = 2) {
    LoaderOptions options;
    options.image_size = kSide;
    options.threads = threads;
    options.prefetch = prefetch;
    options.max_corrupt_share = 0.5;
    return options;
  }

  TestFolder folder_;
  std::unique_ptr<Dataset> dataset_;
};

TEST_F(LoaderTest, AnEpochDeliversEverySampleOnceInTheOrderOfItsPermutation) {
  WriteDataset(10);
  auto loader = Start(Options());
  for (int64_t first = 0; first < 10; first += 4) {
    ASSERT_TRUE(loader->Request({.epoch = 3, .first = first, .size = std::min<int64_t>(4, 10 - first)}).ok());
  }
  const SampleOrder order(1, 3, 10);
  int64_t position = 0;
  for (const size_t size : {4, 4, 2}) {
    auto batch = loader->Next();
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_THAT((*batch)->images, SizeIs(size * 3 * kSide * kSide));
    ASSERT_THAT((*batch)->samples, SizeIs(size));
    EXPECT_EQ((*batch)->labels, (*batch)->samples);
    for (const int64_t sample : (*batch)->samples) EXPECT_EQ(sample, order.SampleAt(position++));
    loader->Recycle(*std::move(batch));
  }
}

TEST_F(LoaderTest, ImagesAreDecodedNormalisedAndAugmentedAsByHand) {
  WriteDataset(5);
  LoaderOptions options = Options();
  options.seed = 9;
  options.normalization = {.mean = 100, .std = 50};
  options.augment = {.flip = true, .rotate_degrees = 20, .translate = 0.1, .scale = 0.1};
  auto loader = Start(options);
  ASSERT_TRUE(loader->Request({.epoch = 2, .first = 0, .size = 5}).ok());
  auto batch = loader->Next();
  ASSERT_TRUE(batch.ok()) << batch.status();
  for (int64_t place = 0; place < 5; ++place) {
    const int64_t sample = (*batch)->samples[place];
    Image image;
    ASSERT_TRUE(DecodeImage(EncodeJpeg(PatternImage(kSide, kSide, static_cast<int>(sample)), {}), &image).ok());
    std::vector<float> expected(3 * kSide * kSide);
    RenderAugmented(image, DrawAugmentation(options.augment, 9, 2, sample, kSide), options.normalization,
                    expected.data());
    const auto begin = (*batch)->images.begin() + place * static_cast<int64_t>(expected.size());
    EXPECT_EQ(std::vector<float>(begin, begin + static_cast<int64_t>(expected.size())), expected);
  }
}

TEST_F(LoaderTest, ThreadsAndPrefetchChangeNothing) {
  WriteDataset(23, {4, 5, 11});
  std::vector<LoadedBatch> expected;
  for (const auto& [threads, prefetch] : {std::pair{1, 1}, {1, 3}, {2, 2}, {3, 1}, {4, 5}}) {
    LoaderOptions options = Options(threads, prefetch);
    options.augment = {.flip = true, .translate = 0.2};
    auto loader = Start(options);
    size_t at = 0;
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      for (int64_t first = 0; first + 5 <= 23; first += 5) ASSERT_TRUE(loader->Request({epoch, first, 5}).ok());
      for (int64_t first = 0; first + 5 <= 23; first += 5, ++at) {
        auto batch = loader->Next();
        ASSERT_TRUE(batch.ok()) << batch.status();
        if (at == expected.size()) expected.push_back(**batch);
        EXPECT_EQ((*batch)->request, expected[at].request);
        EXPECT_EQ((*batch)->images, expected[at].images);
        EXPECT_EQ((*batch)->labels, expected[at].labels);
        EXPECT_EQ((*batch)->samples, expected[at].samples);
        ASSERT_EQ((*batch)->corrupt.size(), expected[at].corrupt.size());
        for (size_t i = 0; i < expected[at].corrupt.size(); ++i) {
          EXPECT_EQ((*batch)->corrupt[i].sample, expected[at].corrupt[i].sample);
        }
        loader->Recycle(*std::move(batch));
      }
    }
  }
  EXPECT_THAT(expected, SizeIs(12));
}

TEST_F(LoaderTest, ACorruptRecordIsReplacedByTheNextReadableOfThePermutationHoweverTheBatchIsSplit) {
  const SampleOrder order(1, 0, 12);
  // Two samples in a row, and the epoch's last one, after which the search continues at the first position.
  const std::vector<int64_t> damaged = {order.SampleAt(3), order.SampleAt(4), order.SampleAt(11)};
  WriteDataset(12, damaged);
  std::vector<int64_t> expected;
  for (int64_t i = 0; i < 12; ++i) expected.push_back(order.SampleAt(i));
  expected[3] = expected[4] = order.SampleAt(5);
  expected[11] = order.SampleAt(0);

  for (const int64_t size : {12, 6, 4, 3, 1}) {
    auto loader = Start(Options(2));
    std::vector<int64_t> samples, labels, corrupt;
    for (int64_t first = 0; first < 12; first += size) ASSERT_TRUE(loader->Request({0, first, size}).ok());
    for (int64_t first = 0; first < 12; first += size) {
      auto batch = loader->Next();
      ASSERT_TRUE(batch.ok()) << batch.status();
      samples.insert(samples.end(), (*batch)->samples.begin(), (*batch)->samples.end());
      labels.insert(labels.end(), (*batch)->labels.begin(), (*batch)->labels.end());
      for (const CorruptSample& replaced : (*batch)->corrupt) {
        if (corrupt.empty() || corrupt.back() != replaced.sample) corrupt.push_back(replaced.sample);
        EXPECT_THAT(replaced.reason,
                    HasSubstr(absl::StrCat("record ", replaced.sample, " of ", folder_.Path("train.rec"))));
        EXPECT_THAT(replaced.reason, HasSubstr("not a whole JPEG image: Premature end"));
      }
    }
    EXPECT_EQ(samples, expected) << size;
    EXPECT_EQ(labels, expected) << "a replacement brings its own label";
    EXPECT_EQ(loader->corrupt_samples(), 3);
    if (size == 12) {
      EXPECT_EQ(corrupt, damaged) << "each once, in the order of the places";
    }
  }
}

TEST_F(LoaderTest, MoreCorruptRecordsThanAllowedEndWithOneSentence) {
  WriteDataset(20, {1, 2, 3});
  LoaderOptions options = Options();
  options.max_corrupt_share = 0.1;
  auto loader = Start(options);
  ASSERT_TRUE(loader->Request({0, 0, 20}).ok());
  const absl::Status status = loader->Next().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("3 of the 20 samples of "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("data.max_corrupt_share = 0.1"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("the last of them: record "));

  options.max_corrupt_share = 0.15;
  loader = Start(options);
  ASSERT_TRUE(loader->Request({0, 0, 20}).ok());
  EXPECT_TRUE(loader->Next().ok());
}

TEST_F(LoaderTest, ADataSetOfNothingButCorruptRecordsEnds) {
  WriteDataset(3, {0, 1, 2});
  LoaderOptions options = Options(2);
  options.max_corrupt_share = 1;
  auto loader = Start(options);
  ASSERT_TRUE(loader->Request({0, 0, 3}).ok());
  EXPECT_THAT(std::string(loader->Next().status().message()), HasSubstr("none of the 3 samples"));
}

TEST_F(LoaderTest, ALabelBeyondTheClassesEndsWithRecordLabelAndN) {
  WriteDataset(4);
  folder_.Write("property", "3,8,8");
  Open();
  auto loader = Start(Options(2));
  ASSERT_TRUE(loader->Request({0, 0, 4}).ok());
  const absl::Status status = loader->Next().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("record 3 of "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("has label 3, but with N = 3 classes labels are 0 to 2"));
}

TEST_F(LoaderTest, RequestsAndOptionsThatMakeNoSenseAreRefused) {
  WriteDataset(4);
  auto loader = Start(Options());
  for (const BatchRequest& request : {BatchRequest{0, 0, 5}, {0, 4, 1}, {0, -1, 2}, {0, 0, 0}, {0, 1, -1}}) {
    EXPECT_EQ(loader->Request(request).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(loader->Next().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(Loader::Create(Options(0), dataset_.get()).ok());
  EXPECT_FALSE(Loader::Create(Options(1, 0), dataset_.get()).ok());
  LoaderOptions options = Options();
  options.image_size = 0;
  EXPECT_FALSE(Loader::Create(options, dataset_.get()).ok());
  options = Options();
  options.normalization.std = 0;
  EXPECT_FALSE(Loader::Create(options, dataset_.get()).ok());
}

TEST_F(LoaderTest, AfterCancelOnlyWhatIsRequestedThenComes) {
  WriteDataset(16);
  auto loader = Start(Options(3, 2));
  for (int round = 0; round < 20; ++round) {
    for (int64_t first = 0; first < 16; first += 4) ASSERT_TRUE(loader->Request({0, first, 4}).ok());
    loader->Cancel();
    EXPECT_EQ(loader->Next().status().code(), absl::StatusCode::kFailedPrecondition);
    const BatchRequest request = {1, round % 4, 3};
    ASSERT_TRUE(loader->Request(request).ok());
    auto batch = loader->Next();
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_EQ((*batch)->request, request);
    EXPECT_THAT((*batch)->labels, SizeIs(3));
    EXPECT_THAT((*batch)->corrupt, IsEmpty());
    loader->Recycle(*std::move(batch));
  }
}

TEST_F(LoaderTest, WaitingForAMicroBatchIsAStallAndOneThatIsReadyIsNone) {
  WriteDataset(4);
  auto loader = Start(Options());
  EXPECT_EQ(loader->stalls(), 0);
  for (const int64_t first : {0, 2}) ASSERT_TRUE(loader->Request({.epoch = 0, .first = first, .size = 2}).ok());
  while (loader->ready() < 2) std::this_thread::yield();
  ASSERT_TRUE(loader->Next().ok());
  EXPECT_EQ(loader->ready(), 1);
  ASSERT_TRUE(loader->Next().ok());
  EXPECT_EQ(loader->ready(), 0);
  EXPECT_EQ(loader->stalls(), 0);
}

TEST_F(LoaderTest, StopWhileLoadingEndsAtOnceAndNextSaysSo) {
  WriteDataset(64);
  for (int round = 0; round < 10; ++round) {
    auto loader = Start(Options(4, 4));
    for (int64_t first = 0; first < 64; first += 8) ASSERT_TRUE(loader->Request({0, first, 8}).ok());
    std::thread stopper([&] { loader->Stop(); });
    absl::Status status;
    for (int i = 0; i < 8 && status.ok(); ++i) status = loader->Next().status();
    stopper.join();
    EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
    EXPECT_EQ(loader->Next().status().code(), absl::StatusCode::kCancelled);
  }
}

TEST_F(LoaderTest, DestructionWhileLoadingIsClean) {
  WriteDataset(64);
  for (int round = 0; round < 10; ++round) {
    auto loader = Start(Options(3, 4));
    ASSERT_TRUE(loader->Request({0, 0, 64}).ok());
  }
}

TEST(LoaderOptionsTest, EveryKeyOfTheConfigurationArrives) {
  RunConfig config;
  config.run.seed = 11;
  config.data.image_size = 32;
  config.data.flip = false;
  config.data.rotate_degrees = 1;
  config.data.translate = 2;
  config.data.scale = 3;
  config.data.pixel_mean = 4;
  config.data.pixel_std = 5;
  config.data.loader_threads = 6;
  config.data.prefetch = 7;
  config.data.max_corrupt_share = 0.8;
  const LoaderOptions options = LoaderOptionsOf(config);
  EXPECT_EQ(options.seed, 11u);
  EXPECT_EQ(options.image_size, 32);
  EXPECT_FALSE(options.augment.flip);
  EXPECT_EQ(options.augment.rotate_degrees, 1);
  EXPECT_EQ(options.augment.translate, 2);
  EXPECT_EQ(options.augment.scale, 3);
  EXPECT_EQ(options.normalization.mean, 4);
  EXPECT_EQ(options.normalization.std, 5);
  EXPECT_EQ(options.threads, 6);
  EXPECT_EQ(options.prefetch, 7);
  EXPECT_EQ(options.max_corrupt_share, 0.8);
}

TEST_F(LoaderTest, RecycledMemoryIsUsedAgain) {
  WriteDataset(8);
  auto loader = Start(Options(1, 1));
  ASSERT_TRUE(loader->Request({0, 0, 8}).ok());
  auto batch = *loader->Next();
  const float* const images = batch->images.data();
  loader->Recycle(std::move(batch));
  ASSERT_TRUE(loader->Request({0, 2, 4}).ok());
  batch = *loader->Next();
  EXPECT_EQ(batch->images.data(), images);
  EXPECT_THAT(batch->images, SizeIs(4 * 3 * kSide * kSide));
}

}  // namespace
}  // namespace arcshard::worker
