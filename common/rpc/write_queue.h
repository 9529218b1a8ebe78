#pragma once

#include <cassert>
#include <deque>
#include <utility>

namespace arcshard {

// The messages that one end of a stream still has to write. gRPC takes one write at a time and wants to be told when
// there will be no more, so the queue decides what comes next: a write, the end, or nothing for now.
//
// Not thread-safe: the stream that owns it guards it with its lock, and drains it after each change:
//
//   if (Out* message = queue_.StartWrite()) { start to write *message } else if (queue_.TakeEnd()) { end the stream }
template <typename Out>
class WriteQueue {
 public:
  // False: the queue is closed and the message was dropped.
  bool Add(Out message) {
    if (closed_) return false;
    waiting_.push_back(std::move(message));
    return true;
  }

  // Takes no more messages; those that wait are still written. Idempotent.
  void Close() { closed_ = true; }
  bool closed() const { return closed_; }

  // Drops the messages that wait. One that is being written stays until WriteDone.
  void Drop() { waiting_.erase(waiting_.begin() + (writing_ ? 1 : 0), waiting_.end()); }

  // The message to write now, which stays valid until WriteDone; null while another one is being written or none waits.
  Out* StartWrite() {
    if (writing_ || waiting_.empty()) return nullptr;
    assert(!ended_);
    writing_ = true;
    return &waiting_.front();
  }

  // The write that StartWrite began has ended. If it failed the others would fail too, so they are dropped.
  // Requires a write under way.
  void WriteDone(bool ok) {
    assert(writing_);
    writing_ = false;
    waiting_.pop_front();
    if (!ok) waiting_.clear();
  }

  // Whether the stream has to be ended now: the queue is closed, nothing waits and nothing is being written. True once.
  bool TakeEnd() {
    if (!closed_ || writing_ || ended_ || !waiting_.empty()) return false;
    ended_ = true;
    return true;
  }

 private:
  std::deque<Out> waiting_;  // the first is being written while writing_
  bool writing_ = false;
  bool closed_ = false;
  bool ended_ = false;  // TakeEnd has returned true
};

}  // namespace arcshard
