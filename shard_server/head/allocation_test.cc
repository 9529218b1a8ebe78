// A separate program, because it replaces operator new to count allocations. It ignores small ones: a product of oneDNN
// allocates 56 bytes and frees them again.

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/head.h"
#include "shard_server/head/testing/sharded_head.h"

namespace {

constexpr std::size_t kSmall = 256;
std::atomic<int64_t> allocations{0};

void* Counted(std::size_t bytes, std::size_t alignment) {
  if (bytes > kSmall) ++allocations;
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

constexpr std::size_t kDefaultAlignment = alignof(std::max_align_t);

}  // namespace

void* operator new(std::size_t bytes) { return Counted(bytes, kDefaultAlignment); }
void* operator new(std::size_t bytes, std::align_val_t a) { return Counted(bytes, static_cast<std::size_t>(a)); }
void* operator new(std::size_t bytes, std::align_val_t a, const std::nothrow_t&) noexcept {
  return Counted(bytes, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }

namespace arcshard::head {
namespace {

HeadOptions SmallOptions() {
  HeadOptions options;
  options.num_classes = 3000;
  options.range = {0, 3000};
  options.dim = 40;
  options.threads = 2;
  options.exp_budget_bytes = 300000;
  return options;
}

enum class Steps { kComputed, kReplayed };

// The number of allocations in each of some steps.
std::vector<int64_t> AllocationsOfSteps(const HeadOptions& options, int steps, Steps kind = Steps::kComputed) {
  const auto head = Head::Create(options, int64_t{1} << 30);
  EXPECT_TRUE(head.ok());
  constexpr int64_t kSamples = 24;
  const int64_t dim = options.dim;
  std::vector<float> z(kSamples), u(kSamples * dim), own(kSamples * dim), r(kSamples, 1e-25f), t(kSamples, 0.1f);
  const std::vector<ForwardOutput> outputs = {
      {absl::MakeSpan(z), {u.data(), kSamples, dim}, {own.data(), kSamples, dim}}};
  std::vector<int64_t> counts;
  for (int step = 1; step <= steps; ++step) {
    LabelledBatch batch = RandomBatch(static_cast<uint64_t>(step), kSamples, dim, options.num_classes);
    // In the first step, all samples have the same class: the number of targets in a block must not matter.
    if (step == 1) std::fill(batch.labels.begin(), batch.labels.end(), 2999);
    const std::vector<ForwardInput> inputs = {{{batch.embedding.data(), kSamples, dim}, batch.labels}};
    const std::vector<Group> groups = {{{inputs[0], r, t}}, {{inputs[0], r, t}}};
    const int64_t before = allocations;
    EXPECT_TRUE((*head)->Begin(static_cast<uint64_t>(step), batch.labels).ok());
    for (size_t g = 0; kind == Steps::kComputed && g < groups.size(); ++g) {
      EXPECT_TRUE((*head)->Forward(inputs, outputs).ok());
    }
    EXPECT_TRUE((*head)->Update(groups, 0.1f).ok());
    counts.push_back(allocations - before);
  }
  return counts;
}

void ExpectNoneAfter(const std::vector<int64_t>& counts, size_t first_steps) {
  EXPECT_GT(counts[0], 0) << "the first step must reserve buffers, or this test counts nothing";
  for (size_t step = first_steps; step < counts.size(); ++step) EXPECT_EQ(counts[step], 0) << "step " << step + 1;
}

TEST(HeadAllocationTest, AfterTheFirstStepNothingIsAllocated) {
  ExpectNoneAfter(AllocationsOfSteps(SmallOptions(), 6), 1);
}

TEST(HeadAllocationTest, NorInBfloat16WithAdamW) {
  HeadOptions options = SmallOptions();
  options.compute = options.weights = options.moments = DataType::kBfloat16;
  options.optimizer = AdamWOptions();
  ExpectNoneAfter(AllocationsOfSteps(options, 6), 1);
}

TEST(HeadAllocationTest, NorWhereStepsAreReplayed) {
  HeadOptions options = SmallOptions();
  ExpectNoneAfter(AllocationsOfSteps(options, 6, Steps::kReplayed), 1);
  options.compute = options.weights = options.moments = DataType::kBfloat16;
  options.optimizer = AdamWOptions();
  ExpectNoneAfter(AllocationsOfSteps(options, 6, Steps::kReplayed), 1);
}

// The number of rows of a sampled step is random, and a product of a new number of rows creates a kernel. There are few
// such numbers, because they are rounded up to kRowUnit.
TEST(HeadAllocationTest, NorOfASampledStepOnceItsShapesWereSeen) {
  HeadOptions options = SmallOptions();
  options.sample_rate = 0.3;
  ExpectNoneAfter(AllocationsOfSteps(options, 40), 30);
}

}  // namespace
}  // namespace arcshard::head
