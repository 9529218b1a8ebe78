#include "worker/data/tools/pairs.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/formats/verification_set.h"
#include "worker/data/open_dataset.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;

// Labels with so many images of each class, the classes mixed.
std::vector<int64_t> Labels(std::vector<int64_t> of_class) {
  std::vector<int64_t> labels;
  for (bool more = true; more;) {
    more = false;
    for (size_t c = 0; c < of_class.size(); ++c) {
      if (of_class[c]-- <= 0) continue;
      labels.push_back(static_cast<int64_t>(c));
      more = true;
    }
  }
  return labels;
}

std::set<std::pair<int64_t, int64_t>> Unordered(const std::vector<ImagePair>& pairs) {
  std::set<std::pair<int64_t, int64_t>> set;
  for (const ImagePair& pair : pairs) set.insert(std::minmax(pair.first, pair.second));
  return set;
}

TEST(DrawPairsTest, EachFoldIsBalancedEveryFlagIsTrueAndNoPairComesTwice) {
  const std::vector<int64_t> labels = Labels({7, 1, 12, 30, 2, 5});
  const auto pairs = DrawPairs(labels, {.pairs = 400, .folds = 10, .seed = 3});
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  ASSERT_EQ(pairs->size(), 400u);
  for (size_t i = 0; i < pairs->size(); ++i) {
    const ImagePair& pair = (*pairs)[i];
    EXPECT_EQ(pair.same, i % 40 < 20) << "20 of each kind in a fold of 40";
    EXPECT_EQ(pair.same, labels[pair.first] == labels[pair.second]);
    EXPECT_NE(pair.first, pair.second);
  }
  EXPECT_EQ(Unordered(*pairs).size(), 400u);
}

TEST(DrawPairsTest, AllPairsThatThereAreCanBeDrawn) {
  // 3 + 1 + 0 + 6 = 10 pairs are of the same class; 3·7 + 2·5 + 1·4 = 35 are of different ones.
  const std::vector<int64_t> labels = Labels({3, 2, 1, 4});
  const auto same = DrawPairs(labels, {.pairs = 20, .folds = 1});
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(Unordered(*same).size(), 20u);
  EXPECT_EQ(std::count_if(same->begin(), same->end(), [](const ImagePair& pair) { return pair.same; }), 10);
  const absl::Status more = DrawPairs(labels, {.pairs = 24, .folds = 3}).status();
  EXPECT_EQ(more.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(more.message(),
            "24 pairs are too many: 10 images of 4 classes make 10 pairs of the same class and 35 of different ones, "
            "enough for 18 pairs in 3 folds");

  // All pairs of different classes are drawn too; here the last of four classes gives all pairs of the same class.
  const std::vector<int64_t> few = Labels({1, 1, 1, 9});
  const auto different = DrawPairs(few, {.pairs = 60, .folds = 1});  // 36 and 9·3 + 3 = 30
  ASSERT_TRUE(different.ok()) << different.status();
  EXPECT_EQ(Unordered(*different).size(), 60u);
}

TEST(DrawPairsTest, ClassesGivePairsInTurn) {
  const auto pairs = DrawPairs(Labels({50, 4, 3, 40}), {.pairs = 24, .folds = 2});
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  const std::vector<int64_t> labels = Labels({50, 4, 3, 40});
  std::map<int64_t, int> of_class;
  for (const ImagePair& pair : *pairs) {
    if (pair.same) ++of_class[labels[pair.first]];
  }
  EXPECT_THAT(of_class, ::testing::ElementsAre(std::pair{0, 3}, std::pair{1, 3}, std::pair{2, 3}, std::pair{3, 3}));
}

TEST(DrawPairsTest, TheSeedDecides) {
  const std::vector<int64_t> labels = Labels({20, 20, 20});
  EXPECT_EQ(*DrawPairs(labels, {.pairs = 60, .seed = 4}), *DrawPairs(labels, {.pairs = 60, .seed = 4}));
  EXPECT_NE(*DrawPairs(labels, {.pairs = 60, .seed = 4}), *DrawPairs(labels, {.pairs = 60, .seed = 5}));
}

TEST(DrawPairsTest, SamplesWithoutALabelAreNotUsed) {
  const std::vector<int64_t> labels = {0, -1, 0, 1, -1};
  const auto pairs = DrawPairs(labels, {.pairs = 2, .folds = 1});
  ASSERT_TRUE(pairs.ok()) << pairs.status();
  EXPECT_EQ((*pairs)[0], (ImagePair{0, 2, true}));
  EXPECT_EQ((*pairs)[1].second, 3);
}

TEST(DrawPairsTest, NumbersThatDoNotDivideAreRefusedWithWhatDoes) {
  const std::vector<int64_t> labels = Labels({20, 20});
  for (const auto& [pairs, folds] : {std::pair{50, 10}, {0, 10}, {19, 1}, {-20, 10}, {20, 0}, {20, -1}}) {
    const absl::Status status = DrawPairs(labels, {.pairs = pairs, .folds = folds}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << pairs << " " << folds;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("; use a multiple of ", 2 * folds)));
  }
}

TEST(DrawPairsTest, OneClassOrNoImagesMakeNoPairs) {
  for (const std::vector<int64_t>& labels : {Labels({9}), Labels({}), Labels({1, 1, 1})}) {
    EXPECT_THAT(std::string(DrawPairs(labels, {.pairs = 2, .folds = 1}).status().message()),
                HasSubstr("enough for 0 pairs in 1 folds"));
  }
}

TEST(WritePairsTest, TheSetIsReadBackWithTheImagesOfTheRecords) {
  const TestFolder folder;
  const auto dataset = *OpenEncodedDataset({.path = ARCSHARD_SOURCE_DIR "/examples/grocery/data"});
  std::vector<int64_t> labels;
  EncodedSample sample;
  for (int64_t i = 0; i < dataset->samples(); ++i) {
    ASSERT_TRUE(dataset->ReadEncoded(i, &sample).ok());
    labels.push_back(sample.label);
  }
  const auto pairs = *DrawPairs(labels, {.pairs = 60, .folds = 3});
  const std::string path = folder.Path("grocery.bin");
  ASSERT_EQ(WritePairs(*dataset, pairs, path), absl::OkStatus());
  const auto set = VerificationSet::Load(path);
  ASSERT_TRUE(set.ok()) << set.status();
  ASSERT_EQ((*set)->pairs(), 60);
  for (size_t i = 0; i < pairs.size(); ++i) {
    EXPECT_EQ((*set)->same()[i], pairs[i].same);
    ASSERT_TRUE(dataset->ReadEncoded(pairs[i].first, &sample).ok());
    EXPECT_EQ((*set)->image(2 * static_cast<int64_t>(i)), sample.image());
    ASSERT_TRUE(dataset->ReadEncoded(pairs[i].second, &sample).ok());
    EXPECT_EQ((*set)->image(2 * static_cast<int64_t>(i) + 1), sample.image());
  }
}

}  // namespace
}  // namespace arcshard::worker
