#include "worker/inference/embedding.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "ATen/Parallel.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;

constexpr int64_t kDim = 4;
constexpr int64_t kImages = 23;

// Image i has one grey but for its left half, and the label 10·i; some images are damaged.
class GreyImages final : public ImageSource {
 public:
  int64_t images() const override { return kImages; }
  absl::StatusOr<LabeledImage> Read(int64_t image, int side, SampleBuffers* buffers) const override {
    if (image == damaged_from_ || image == damaged_from_ + 5) {
      return absl::Status(code_, absl::StrCat("image ", image, " is damaged"));
    }
    buffers->drawn.Resize(side, side);
    for (int y = 0; y < side; ++y) {
      for (int x = 0; x < 3 * side; ++x)
        buffers->drawn.row(y)[x] = static_cast<uint8_t>(2 * x < 3 * side ? 7 : 11 * image);
    }
    return LabeledImage{10 * image, &buffers->drawn};
  }

  int64_t damaged_from_ = -10;
  absl::StatusCode code_ = absl::StatusCode::kDataLoss;
};

class EmbeddingTest : public ::testing::Test {
 protected:
  EmbeddingTest() {
    auto backbone = CreateBackbone({.name = "iresnet18", .width = 2, .image_size = 16, .embedding_size = kDim});
    EXPECT_TRUE(backbone.ok()) << backbone.status();
    backbone_ = *std::move(backbone);
  }

  absl::Status Embed(int threads, int64_t begin = 0, int64_t end = kImages) {
    const size_t n = static_cast<size_t>(end - begin);
    originals_.assign(n * kDim, 0.0f);
    flips_.assign(n * kDim, 0.0f);
    labels_.assign(n, 0);
    damaged_.assign(want_damaged_ ? n : 0, absl::OkStatus());
    EmbedOptions options;
    options.batch_size = 3;
    options.threads = threads;
    options.after_batch = after_batch_;
    return EmbedRange(
        backbone_.get(), images_, options, begin, end,
        {absl::MakeSpan(originals_), absl::MakeSpan(flips_), absl::MakeSpan(labels_), absl::MakeSpan(damaged_)});
  }

  GreyImages images_;
  bool want_damaged_ = false;
  std::function<absl::Status(int64_t)> after_batch_;
  std::unique_ptr<Backbone> backbone_;
  std::vector<float> originals_, flips_;
  std::vector<int64_t> labels_;
  std::vector<absl::Status> damaged_;
};

TEST_F(EmbeddingTest, TheResultDoesNotDependOnTheNumberOfThreads) {
  ASSERT_TRUE(Embed(1).ok());
  const std::vector<float> originals = originals_, flips = flips_;
  EXPECT_NE(originals, flips);
  for (const int threads : {2, 3, 50}) {
    ASSERT_TRUE(Embed(threads).ok());
    EXPECT_EQ(originals_, originals) << threads;
    EXPECT_EQ(flips_, flips) << threads;
  }
}

TEST_F(EmbeddingTest, LibTorchsNumberOfThreadsIsLeftAsItWas) {
  at::set_num_threads(3);
  ASSERT_TRUE(Embed(2).ok());
  EXPECT_EQ(at::get_num_threads(), 3);
  std::thread([] { EXPECT_EQ(at::get_num_threads(), 3); }).join();
  at::set_num_threads(1);
}

TEST_F(EmbeddingTest, RowsCountFromTheRangesFirstImage) {
  ASSERT_TRUE(Embed(2, 5, 8).ok());
  EXPECT_THAT(labels_, ElementsAre(50, 60, 70));
  ASSERT_TRUE(Embed(2, 5, 5).ok());
}

TEST_F(EmbeddingTest, TheFirstDamagedImageIsTheError) {
  images_.damaged_from_ = 6;
  for (const int threads : {1, 4}) EXPECT_EQ(Embed(threads).message(), "image 6 is damaged");
}

TEST_F(EmbeddingTest, ItsProgressIsToldUpToTheLastImage) {
  for (const int threads : {1, 4}) {
    std::vector<int64_t> told;
    after_batch_ = [&told, caller = std::this_thread::get_id()](int64_t images) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      told.push_back(images);
      return absl::OkStatus();
    };
    ASSERT_TRUE(Embed(threads).ok());
    ASSERT_FALSE(told.empty());
    EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
    EXPECT_EQ(told.back(), kImages);
  }
}

TEST_F(EmbeddingTest, ItIsAbandonedBetweenTwoBatches) {
  int calls = 0;
  after_batch_ = [&calls](int64_t) {
    ++calls;
    return absl::CancelledError("stop");
  };
  for (const int threads : {1, 4}) {
    calls = 0;
    EXPECT_EQ(Embed(threads), absl::CancelledError("stop"));
    EXPECT_EQ(calls, 1);
  }
}

TEST_F(EmbeddingTest, DamagedImagesAreNotedWhereThatIsWanted) {
  images_.damaged_from_ = 6;
  want_damaged_ = true;
  ASSERT_TRUE(Embed(2).ok());
  for (int64_t i = 0; i < kImages; ++i) EXPECT_EQ(damaged_[i].ok(), i != 6 && i != 11) << i;
  images_.code_ = absl::StatusCode::kUnavailable;  // the disk fails; the image is not damaged
  EXPECT_EQ(Embed(2).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace arcshard::worker
