#include "common/rpc/write_queue.h"

#include <string>

#include "gtest/gtest.h"

namespace arcshard {
namespace {

// Does what a stream does after a change of its queue, and tells what that was.
std::string Drain(WriteQueue<std::string>* queue) {
  if (const std::string* message = queue->StartWrite()) return "write " + *message;
  return queue->TakeEnd() ? "end" : "nothing";
}

TEST(WriteQueueTest, MessagesAreWrittenInOrderOneAtATime) {
  WriteQueue<std::string> queue;
  EXPECT_EQ(Drain(&queue), "nothing");
  EXPECT_TRUE(queue.Add("a"));
  EXPECT_TRUE(queue.Add("b"));
  EXPECT_EQ(Drain(&queue), "write a");
  EXPECT_TRUE(queue.Add("c"));
  EXPECT_EQ(Drain(&queue), "nothing");
  queue.WriteDone(true);
  EXPECT_EQ(Drain(&queue), "write b");
  queue.WriteDone(true);
  EXPECT_EQ(Drain(&queue), "write c");
  queue.WriteDone(true);
  EXPECT_EQ(Drain(&queue), "nothing");
}

TEST(WriteQueueTest, AClosedQueueTakesNothingMoreAndEndsOnceAfterItsLastWrite) {
  WriteQueue<std::string> queue;
  queue.Add("a");
  queue.Add("b");
  EXPECT_EQ(Drain(&queue), "write a");
  queue.Close();
  EXPECT_TRUE(queue.closed());
  EXPECT_FALSE(queue.Add("c"));
  EXPECT_EQ(Drain(&queue), "nothing");
  queue.WriteDone(true);
  EXPECT_EQ(Drain(&queue), "write b");
  queue.WriteDone(true);
  EXPECT_EQ(Drain(&queue), "end");
  queue.Close();
  EXPECT_EQ(Drain(&queue), "nothing");
}

TEST(WriteQueueTest, DroppingKeepsTheMessageThatIsBeingWritten) {
  WriteQueue<std::string> queue;
  queue.Add("a");
  queue.Add("b");
  const std::string* written = queue.StartWrite();
  ASSERT_NE(written, nullptr);
  queue.Close();
  queue.Drop();
  EXPECT_EQ(*written, "a");
  EXPECT_EQ(Drain(&queue), "nothing");
  queue.WriteDone(true);
  EXPECT_EQ(Drain(&queue), "end");
}

TEST(WriteQueueTest, AFailedWriteDropsTheOthersButDoesNotClose) {
  WriteQueue<std::string> queue;
  queue.Add("a");
  queue.Add("b");
  EXPECT_EQ(Drain(&queue), "write a");
  queue.WriteDone(false);
  EXPECT_EQ(Drain(&queue), "nothing");
  EXPECT_FALSE(queue.closed());
  queue.Close();
  EXPECT_EQ(Drain(&queue), "end");
}

#ifndef NDEBUG
TEST(WriteQueueDeathTest, TheEndOfAWriteThatNeverStartedStopsTheProcess) {
  WriteQueue<std::string> queue;
  queue.Add("a");
  EXPECT_DEATH(queue.WriteDone(true), "writing_");
}
#endif

}  // namespace
}  // namespace arcshard
