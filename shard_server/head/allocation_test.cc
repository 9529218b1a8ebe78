// A binary of its own: it counts every operator new.

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "gtest/gtest.h"
#include "shard_server/head/head.h"
#include "shard_server/head/sharded_head.h"

namespace {

std::atomic<int64_t> allocations{0};

void* Counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
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

TEST(HeadAllocationTest, AfterTheFirstStepNothingIsAllocated) {
  HeadOptions options;
  options.num_classes = 3000;
  options.range = {0, 3000};
  options.dim = 40;
  options.threads = 2;
  options.exp_budget_bytes = 300000;
  const auto head = Head::Create(options, int64_t{1} << 30);
  ASSERT_TRUE(head.ok());
  constexpr int64_t kSamples = 24;
  std::vector<float> z(kSamples), u(kSamples * 40), own(kSamples * 40), r(kSamples, 1e-25f), t(kSamples, 0.1f);
  const std::vector<ForwardOutput> outputs = {
      {absl::MakeSpan(z), {u.data(), kSamples, 40}, {own.data(), kSamples, 40}}};
  std::vector<MicroBatch> batches;
  for (uint64_t step = 0; step < 6; ++step) batches.push_back(RandomMicroBatch(step, kSamples, 40, 3000));
  // All samples of one class, then of many: how many targets a block has must not matter.
  std::fill(batches[0].labels.begin(), batches[0].labels.end(), 2999);

  int64_t after_first = 0;
  uint64_t begun = 0;
  for (const MicroBatch& batch : batches) {
    const std::vector<ForwardInput> inputs = {{{batch.embedding.data(), kSamples, 40}, batch.labels}};
    const std::vector<Group> groups = {{{inputs[0], r, t}}, {{inputs[0], r, t}}};
    const int64_t before = allocations;
    ASSERT_TRUE((*head)->Begin(++begun, batch.labels).ok());
    ASSERT_TRUE((*head)->Forward(inputs, outputs).ok());
    ASSERT_TRUE((*head)->Forward(inputs, outputs).ok());
    ASSERT_TRUE((*head)->Update(groups, 0.1f).ok());
    const int64_t count = allocations - before;
    if (&batch == &batches.front()) {
      EXPECT_GT(count, 0) << "the first step reserves its buffers; else this test counts nothing";
    } else {
      after_first += count;
    }
  }
  EXPECT_EQ(after_first, 0);
}

}  // namespace
}  // namespace arcshard::head
