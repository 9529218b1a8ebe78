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

// The rows of a head as they were at one moment, while updates continue. A writer receives all rows of one part after
// another, as a file holds them. Parts are cut into pieces of about 1 MiB:
//
//                    the writer takes it
//   kHeld ──────────────────────────────────► kReading ─────► kDone
//     │ an update is about to change its rows                   ▲
//     └──────────────► kCopying ─────► kAside ──────────────────┘
//                                          the writer takes it
//
// An update waits while the writer reads one of its pieces (a copy of 1 MiB), while another thread copies that piece
// aside, and, when the memory for copies is used up, until the writer has freed some or has taken the piece itself. The
// writer waits for an update only during such a copy, so the two never wait for each other.
//
// Thread-safe: one thread begins and abandons snapshots, the head's threads update, one thread writes.
class RowSnapshot final : public head::UpdateObserver {
 public:
  // `head` and `clock` outlive the snapshot; the caller has the head Observe it. `buffer_bytes`: the memory for copies,
  // rounded up to at least one. It is reserved by the first Begin, touched only as needed, and kept for later
  // snapshots.
  RowSnapshot(const head::Head* head, int64_t buffer_bytes, const Clock* clock);

  // The parts that the head holds, in the order in which Write passes them on: centers, moments, counts, but parts of
  // wider elements first, which keeps every tensor of the file aligned.
  std::vector<head::RowPart> parts() const;

  // Begins a snapshot of the rows as they are now. Requires: no update runs, and the last snapshot was written or
  // abandoned. ResourceExhausted: not enough memory; no snapshot was begun.
  absl::Status Begin();

  void BeforeUpdate(const head::BlockRows& rows) override;

  // Passes every piece to `append` in order; call once after Begin. When it returns, updates no longer wait. Errors:
  // the first that `append` returns, which ends the snapshot; that of the head; Cancelled: the snapshot was abandoned.
  using Append = absl::FunctionRef<absl::Status(head::RowPart, absl::Span<const std::byte>)>;
  absl::Status Write(Append append);

  // Any thread: ends the snapshot. Updates no longer wait for the disk, only for a piece that is being read or copied
  // at this moment, and Write returns at its next piece.
  void Abandon();

  // The time that updates have waited for the writer so far, summed over their threads.
  absl::Duration waited() const;

 private:
  enum class State : uint8_t { kHeld, kReading, kCopying, kAside, kDone };
  struct Piece {
    State state = State::kDone;
    int32_t slot = -1;  // where the copy is, while kCopying and kAside
  };
  // All rows of one part, cut into pieces of rows_per_piece rows.
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
  // Returns when the snapshot no longer needs the piece's rows in the head.
  void Save(const Section& section, size_t piece) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsSaved(size_t piece) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status WritePiece(const Section& section, size_t piece, Append append);
  void End(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const head::Head* const head_;
  const Clock* const clock_;
  std::vector<Section> sections_;
  int64_t slot_bytes_ = 0;
  int64_t slots_ = 0;                // copies for which there is memory
  head::Buffer<std::byte> copies_;   // of pieces, made by updates
  head::Buffer<std::byte> scratch_;  // the piece that the writer has read

  mutable Mutex mutex_;
  CondVar changed_;
  bool active_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);  // why the last snapshot ended, when none is active
  std::vector<Piece> pieces_ ABSL_GUARDED_BY(mutex_);
  std::vector<int32_t> free_slots_ ABSL_GUARDED_BY(mutex_);
  int reads_ ABSL_GUARDED_BY(mutex_) = 0;  // of rows of the head, in progress without the lock
  absl::Duration waited_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
