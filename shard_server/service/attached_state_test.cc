#include "shard_server/service/attached_state.h"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>

namespace arcshard::shard {
namespace {

// Pointers to tell states apart, which nobody follows.
char first_state, second_state;
ShardState* const kFirst = reinterpret_cast<ShardState*>(&first_state);
ShardState* const kSecond = reinterpret_cast<ShardState*>(&second_state);

TEST(AttachedStateTest, CallsUseTheStateThatWasAttachedLast) {
  AttachedState attached;
  EXPECT_EQ(AttachedState::Use(&attached).get(), nullptr);
  attached.Attach(kFirst);
  EXPECT_EQ(AttachedState::Use(&attached).get(), kFirst);
  attached.Attach(kSecond);
  EXPECT_EQ(AttachedState::Use(&attached).get(), kSecond);
  attached.Attach(nullptr);
  EXPECT_EQ(AttachedState::Use(&attached).get(), nullptr);
}

TEST(AttachedStateTest, WhenAttachReturnsNoCallUsesTheStateBefore) {
  AttachedState attached;
  attached.Attach(kFirst);
  std::optional<AttachedState::Use> running(&attached);
  std::atomic<bool> returned = false;
  std::thread replacing([&] {
    attached.Attach(kSecond);
    returned = true;
  });
  // Calls that begin meanwhile use the new state, and do not hold it up.
  while (AttachedState::Use(&attached).get() != kSecond) std::this_thread::yield();
  AttachedState::Use other(&attached);
  EXPECT_EQ(running->get(), kFirst);
  EXPECT_FALSE(returned);
  running.reset();
  replacing.join();
  EXPECT_TRUE(returned);
  EXPECT_EQ(other.get(), kSecond);
}

}  // namespace
}  // namespace arcshard::shard
