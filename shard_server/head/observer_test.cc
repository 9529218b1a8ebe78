#include <algorithm>
#include <cstring>
#include <mutex>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/arithmetic/bfloat16.h"
#include "shard_server/head/head.h"
#include "shard_server/head/testing/sharded_head.h"
#include "shard_server/head/testing/test_device.h"

namespace arcshard::head {
namespace {

constexpr int64_t kSamples = 12;

// The bytes of all stored parts, in the order of RowPart.
std::vector<std::vector<std::byte>> Held(const Head& head, ClassRange range) {
  std::vector<std::vector<std::byte>> parts;
  for (const RowPart part : {RowPart::kWeights, RowPart::kMoment0, RowPart::kMoment1, RowPart::kCounts}) {
    const int64_t bytes = HeldBytes(head.options(), part);
    if (bytes == 0) continue;
    parts.emplace_back(static_cast<size_t>(bytes * range.size()));
    const absl::Status status = head.ReadHeld(part, range, absl::MakeSpan(parts.back()));
    EXPECT_TRUE(status.ok()) << status;
  }
  return parts;
}

// Records the rows that it is called for, and what they contained at that time.
class Witness final : public UpdateObserver {
 public:
  explicit Witness(const Head* head) : head_(head) {}

  void BeforeUpdate(const BlockRows& rows) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t row = head_->options().range.begin + rows[i];
      classes.push_back(row);
      held.push_back(Held(*head_, {row, row + 1}));
    }
  }

  std::vector<int64_t> classes;
  std::vector<std::vector<std::vector<std::byte>>> held;  // the parts of each of `classes`

 private:
  const Head* const head_;
  std::mutex mutex_;
};

HeadOptions Options() {
  HeadOptions options;
  options.num_classes = 3000;
  options.range = {500, 2700};
  options.dim = 40;
  options.threads = 3;
  options.device = TestDevice();
  return options;
}

class Step {
 public:
  explicit Step(const HeadOptions& options)
      : dim_(options.dim), batch_(RandomBatch(3, kSamples, options.dim, options.num_classes)) {}

  absl::Status Begin(Head* head, uint64_t step) {
    absl::Status status = head->Begin(step, batch_.labels);
    const ForwardOutput output = {absl::MakeSpan(z_), {u_.data(), kSamples, dim_}, {own_.data(), kSamples, dim_}};
    const ForwardInput input = Input();
    status.Update(head->Forward({&input, 1}, {&output, 1}));
    return status;
  }
  absl::Status Update(Head* head) {
    const Group group = {{Input(), r_, t_}};
    return head->Update({&group, 1}, 0.1f);
  }

 private:
  ForwardInput Input() const { return {{batch_.embedding.data(), kSamples, dim_}, batch_.labels}; }

  const int64_t dim_;
  const LabelledBatch batch_;
  std::vector<float> z_ = std::vector<float>(kSamples), u_ = std::vector<float>(kSamples * dim_), own_ = u_;
  const std::vector<float> r_ = std::vector<float>(kSamples, 1e-25f), t_ = std::vector<float>(kSamples, -0.1f);
};

void ExpectEachRowToldOfOnceBeforeItChanges(const HeadOptions& options) {
  const auto head = Head::Create(options, int64_t{1} << 30);
  ASSERT_TRUE(head.ok()) << head.status();
  Step step(options);
  for (uint64_t t = 1; t <= 2; ++t) {
    Witness witness(head->get());
    (*head)->Observe(&witness);
    ASSERT_TRUE(step.Begin(head->get(), t).ok());
    EXPECT_TRUE(witness.classes.empty());
    const auto before = Held(**head, options.range);
    ASSERT_TRUE(step.Update(head->get()).ok());
    const auto after = Held(**head, options.range);

    std::vector<int64_t> told = witness.classes;
    std::sort(told.begin(), told.end());
    EXPECT_EQ(std::adjacent_find(told.begin(), told.end()), told.end()) << "told of twice";
    for (int64_t j = options.range.begin; j < options.range.end; ++j) {
      const bool is_told = std::binary_search(told.begin(), told.end(), j);
      for (size_t part = 0; part < before.size(); ++part) {
        const size_t bytes = before[part].size() / static_cast<size_t>(options.range.size());
        const size_t at = static_cast<size_t>(j - options.range.begin) * bytes;
        if (is_told) {
          const size_t i = static_cast<size_t>(std::find(witness.classes.begin(), witness.classes.end(), j) -
                                               witness.classes.begin());
          ASSERT_EQ(std::memcmp(witness.held[i][part].data(), before[part].data() + at, bytes), 0) << "class " << j;
        } else {
          ASSERT_EQ(std::memcmp(after[part].data() + at, before[part].data() + at, bytes), 0) << "class " << j;
        }
      }
    }
    EXPECT_NE(before, after);
  }
  (*head)->Observe(nullptr);
  ASSERT_TRUE(step.Begin(head->get(), 3).ok());
  EXPECT_TRUE(step.Update(head->get()).ok());
}

TEST(UpdateObserverTest, EveryRowIsToldOfOnceBeforeItChanges) { ExpectEachRowToldOfOnceBeforeItChanges(Options()); }

TEST(UpdateObserverTest, WithSamplingOnlyRowsThatTakePartAreToldOf) {
  HeadOptions options = Options();
  options.sample_rate = 0.2;
  options.optimizer = AdamWOptions();
  ExpectEachRowToldOfOnceBeforeItChanges(options);
}

TEST(UpdateObserverTest, RowsInBfloat16AreToldOfTheSameWay) {
  HeadOptions options = Options();
  options.compute = options.weights = options.moments = DataType::kBfloat16;
  ExpectEachRowToldOfOnceBeforeItChanges(options);
}

TEST(UpdateObserverTest, ASkippedStepTellsNothing) {
  const auto head = Head::Create(Options(), int64_t{1} << 30);
  ASSERT_TRUE(head.ok()) << head.status();
  Witness witness(head->get());
  (*head)->Observe(&witness);
  ASSERT_TRUE(Step(Options()).Begin(head->get(), 1).ok());
  (*head)->Discard();
  EXPECT_TRUE(witness.classes.empty());
}

TEST(ReadHeldTest, GivesRowsInTheTypesTheyAreHeldIn) {
  HeadOptions options = Options();
  options.optimizer = AdamWOptions();
  options.moments = DataType::kBfloat16;
  const auto head = Head::Create(options, int64_t{1} << 30);
  ASSERT_TRUE(head.ok()) << head.status();
  Step step(options);
  ASSERT_TRUE(step.Begin(head->get(), 1).ok());
  ASSERT_TRUE(step.Update(head->get()).ok());
  const ClassRange range{600, 603};
  const auto held = Held(**head, range);
  ASSERT_EQ(held.size(), 4u);

  std::vector<float> values(3 * options.dim);
  ASSERT_TRUE((*head)->ReadWeights(range, {values.data(), 3, options.dim}).ok());
  ASSERT_EQ(held[0].size(), values.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(held[0].data(), values.data(), held[0].size()), 0);
  for (const int moment : {0, 1}) {
    ASSERT_TRUE((*head)->ReadMoment(moment, range, {values.data(), 3, options.dim}).ok());
    const std::vector<std::byte>& bytes = held[static_cast<size_t>(moment) + 1];
    ASSERT_EQ(bytes.size(), values.size() * sizeof(Bfloat16));
    for (size_t i = 0; i < values.size(); ++i) {
      Bfloat16 value;
      std::memcpy(&value, bytes.data() + i * sizeof(value), sizeof(value));
      EXPECT_EQ(Widen(value), values[i]);
    }
  }
  const std::vector<uint32_t> counts(3, 1);
  ASSERT_EQ(held[3].size(), 3 * sizeof(uint32_t));
  EXPECT_EQ(std::memcmp(held[3].data(), counts.data(), held[3].size()), 0);
}

TEST(ReadHeldTest, RowsOutsidePartsThatAreNotThereAndOtherSizesAreRefused) {
  const auto head = Head::Create(Options(), int64_t{1} << 30);
  ASSERT_TRUE(head.ok()) << head.status();
  std::vector<std::byte> out(2 * 40 * sizeof(float));
  EXPECT_TRUE((*head)->ReadHeld(RowPart::kWeights, {500, 502}, absl::MakeSpan(out)).ok());
  EXPECT_EQ((*head)->ReadHeld(RowPart::kWeights, {499, 501}, absl::MakeSpan(out)).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ((*head)->ReadHeld(RowPart::kWeights, {500, 503}, absl::MakeSpan(out)).code(),
            absl::StatusCode::kInvalidArgument);
  for (const RowPart part : {RowPart::kMoment1, RowPart::kCounts}) {
    EXPECT_EQ((*head)->ReadHeld(part, {500, 500}, {}).code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace arcshard::head
