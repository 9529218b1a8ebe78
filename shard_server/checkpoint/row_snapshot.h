#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/head.h"

namespace arcshard::shard {

// The rows of a head as they were at one moment, while updates go on: all of a part one after the other, as a file
// holds them. Parts are cut into pieces of about 1 MiB:
//
//                    the writer takes it
//   kHeld ──────────────────────────────────► kReading ─────► kDone
//     │ an update is about to change its rows                   ▲
//     └──────────────► kCopying ─────► kAside ──────────────────┘
//                                          the writer takes it
//
// An update waits while the writer reads one of its pieces (a copy of 1 MiB), while another thread copies one aside,
// and, when the memory for copies is used up, until the writer has made room or has taken the piece itself. The writer
// waits for no update but during a copy, so the two never wait for each other.
//
// Thread-safe: one thread takes and ends snapshots, the head's threads update, one thread writes.
class RowSnapshot final : public head::UpdateObserver {
 public:
  // `head` and `clock` outlive it; the head is to be told to Observe it. `buffer_bytes`: for copies, at least one of
  // them; taken with the first snapshot, given to pages as they are needed, and kept for the next ones.
  RowSnapshot(const head::Head* head, int64_t buffer_bytes, const Clock* clock);

  // What the head holds, in the order that Write hands it out in: centers, moments, counts, but those of wider elements
  // first, which keeps every tensor of the file aligned.
  std::vector<head::RowPart> parts() const;

  // From here on: the rows as they are now. Not while an update runs, nor before the last one was written or abandoned.
  // ResourceExhausted: no memory; then there is none.
  absl::Status Begin();

  void BeforeUpdate(const head::BlockRows& rows) override;

  // Hands out every piece in order; call once after Begin. Whatever ends it, updates wait no more. The error of
  // `append`, which says no with it; that of the head; Cancelled: abandoned.
  using Append = absl::FunctionRef<absl::Status(head::RowPart, absl::Span<const std::byte>)>;
  absl::Status Write(Append append);

  // Any thread: updates wait no more, and Write ends at its next piece.
  void Abandon();

  // How long updates waited for the writer so far, summed over their threads.
  absl::Duration waited() const;

 private:
  enum class State : uint8_t { kHeld, kReading, kCopying, kAside, kDone };
  struct Piece {
    State state = State::kDone;
    int32_t slot = -1;  // of the copy, while kAside
  };
  // All rows of one part, in pieces of rows_per_piece.
  struct Section {
    head::RowPart part = head::RowPart::kWeights;
    int64_t row_bytes = 0;
    int64_t rows_per_piece = 0;
    size_t first_piece = 0;
    size_t pieces = 0;
  };

  ClassRange RowsOf(const Section& section, size_t piece) const;  // classes
  std::byte* Slot(int32_t slot) const { return copies_.data() + slot * slot_bytes_; }
  size_t BytesOf(const Section& section, size_t piece) const;
  absl::Status Read(const Section& section, size_t piece, std::byte* to) const;
  // Returns when the snapshot does not need the piece's rows in the head any more.
  void Save(const Section& section, size_t piece) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsSaved(size_t piece) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WritePiece(const Section& section, size_t piece, Append append);
  void End(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const head::Head* const head_;
  const Clock* const clock_;
  std::vector<Section> sections_;
  int64_t slot_bytes_ = 0;
  int64_t slots_ = 0;                // that the memory for copies has
  head::Buffer<std::byte> copies_;   // of updates
  head::Buffer<std::byte> scratch_;  // of the writer: a piece

  mutable Mutex mutex_;
  CondVar changed_;
  bool active_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);  // with what, when it is not active
  std::vector<Piece> pieces_ ABSL_GUARDED_BY(mutex_);
  std::vector<int32_t> free_slots_ ABSL_GUARDED_BY(mutex_);
  absl::Duration waited_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
