#include "shard_server/checkpoint/row_snapshot.h"

#include <algorithm>
#include <cassert>
#include <functional>
#include <utility>

#include "common/base/status_macros.h"

namespace arcshard::shard {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;

}  // namespace

RowSnapshot::RowSnapshot(const head::Head* head, int64_t buffer_bytes, const Clock* clock)
    : head_(head), clock_(clock) {
  const head::HeadOptions& options = head->options();
  const int64_t rows = options.range.size();
  for (const head::RowPart part :
       {head::RowPart::kWeights, head::RowPart::kMoment0, head::RowPart::kMoment1, head::RowPart::kCounts}) {
    const int64_t row_bytes = head::HeldBytes(options, part);
    if (row_bytes > 0 && rows > 0) sections_.push_back({part, row_bytes});
  }
  const auto is_narrow = [&](const Section& section) {
    return section.part != head::RowPart::kCounts &&
           section.row_bytes < options.dim * static_cast<int64_t>(sizeof(float));
  };
  std::stable_partition(sections_.begin(), sections_.end(), std::not_fn(is_narrow));
  size_t pieces = 0;
  for (Section& section : sections_) {
    section.rows_per_piece = std::clamp<int64_t>(kPieceBytes / section.row_bytes, 1, rows);
    section.first_piece = pieces;
    section.pieces = static_cast<size_t>((rows + section.rows_per_piece - 1) / section.rows_per_piece);
    pieces += section.pieces;
    slot_bytes_ = std::max(slot_bytes_, section.rows_per_piece * section.row_bytes);
  }
  pieces_.resize(pieces);
  if (pieces > 0) slots_ = std::clamp<int64_t>(buffer_bytes / slot_bytes_, 1, static_cast<int64_t>(pieces));
}

std::vector<head::RowPart> RowSnapshot::parts() const {
  std::vector<head::RowPart> parts;
  for (const Section& section : sections_) parts.push_back(section.part);
  return parts;
}

absl::Status RowSnapshot::Begin() {
  RETURN_IF_ERROR(copies_.Reserve(slots_ * slot_bytes_, "rows copied aside for a checkpoint (checkpoint.buffer_mb)"));
  RETURN_IF_ERROR(scratch_.Reserve(slot_bytes_, "a piece of a checkpoint"));
  MutexLock lock(&mutex_);
  assert(!active_);
  std::fill(pieces_.begin(), pieces_.end(), Piece{State::kHeld, -1});
  free_slots_.clear();
  // In reverse, so that a snapshot that needs few slots reuses the pages of earlier snapshots.
  for (int32_t slot = static_cast<int32_t>(slots_); slot-- > 0;) free_slots_.push_back(slot);
  ended_ = absl::OkStatus();
  active_ = true;
  return absl::OkStatus();
}

void RowSnapshot::BeforeUpdate(const head::BlockRows& rows) {
  MutexLock lock(&mutex_);
  if (!active_) {
    while (reads_ > 0) changed_.Wait(&mutex_);  // of a snapshot that was abandoned
    return;
  }
  for (const Section& section : sections_) {
    for (int64_t i = 0; i < rows.count; ++i) {
      const int64_t piece = rows[i] / section.rows_per_piece;
      Save(section, section.first_piece + static_cast<size_t>(piece));
      if (rows.list == nullptr) {  // continue with the next piece's first row
        i = (piece + 1) * section.rows_per_piece - rows.first - 1;
      } else {
        while (i + 1 < rows.count && rows[i + 1] / section.rows_per_piece == piece) ++i;
      }
    }
  }
}

bool RowSnapshot::IsSaved(size_t index) const {
  if (pieces_[index].state == State::kReading) return false;  // also of a snapshot that was abandoned meanwhile
  return !active_ || pieces_[index].state == State::kAside || pieces_[index].state == State::kDone;
}

void RowSnapshot::Save(const Section& section, size_t index) {
  const auto can_copy = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return pieces_[index].state == State::kHeld && !free_slots_.empty();
  };
  while (pieces_[index].state == State::kCopying) changed_.Wait(&mutex_);  // by another update's thread
  if (!IsSaved(index) && !can_copy()) {
    const MonotonicTime begin = clock_->Now();
    while (!IsSaved(index) && !can_copy()) changed_.Wait(&mutex_);
    waited_ += clock_->Now() - begin;
  }
  if (IsSaved(index)) return;
  assert(can_copy());
  const int32_t slot = free_slots_.back();
  free_slots_.pop_back();
  pieces_[index] = {State::kCopying, slot};
  ++reads_;
  mutex_.Unlock();
  const absl::Status status = Read(section, index, Slot(slot));
  mutex_.Lock();
  --reads_;
  pieces_[index].state = State::kAside;
  if (!status.ok() && active_) End(status);
  changed_.NotifyAll();
}

absl::Status RowSnapshot::Write(Append append) {
  for (const Section& section : sections_) {
    for (size_t piece = section.first_piece; piece < section.first_piece + section.pieces; ++piece) {
      RETURN_IF_ERROR(WritePiece(section, piece, append));
    }
  }
  MutexLock lock(&mutex_);
  if (active_) End(absl::OkStatus());
  return ended_;
}

absl::Status RowSnapshot::WritePiece(const Section& section, size_t index, Append append) {
  int32_t slot = -1;
  {
    MutexLock lock(&mutex_);
    while (active_ && pieces_[index].state == State::kCopying) changed_.Wait(&mutex_);
    if (!active_) return ended_;
    slot = pieces_[index].slot;
    if (slot < 0) {
      pieces_[index].state = State::kReading;
      ++reads_;
    }
  }
  const std::byte* const bytes = slot < 0 ? scratch_.data() : Slot(slot);
  absl::Status status;
  if (slot < 0) {
    status = Read(section, index, scratch_.data());
    MutexLock lock(&mutex_);
    --reads_;
    pieces_[index].state = State::kDone;
    changed_.NotifyAll();
  }
  if (status.ok()) status = append(section.part, {bytes, BytesOf(section, index)});
  MutexLock lock(&mutex_);
  if (slot >= 0) {
    pieces_[index] = {State::kDone, -1};
    free_slots_.push_back(slot);
    changed_.NotifyAll();
  }
  if (!status.ok() && active_) End(status);
  return status;
}

void RowSnapshot::Abandon() {
  MutexLock lock(&mutex_);
  if (active_) End(absl::CancelledError("the checkpoint was abandoned"));
}

void RowSnapshot::End(const absl::Status& why) {
  active_ = false;
  ended_ = why;
  changed_.NotifyAll();
}

absl::Duration RowSnapshot::waited() const {
  MutexLock lock(&mutex_);
  return waited_;
}

ClassRange RowSnapshot::RowsOf(const Section& section, size_t index) const {
  const ClassRange range = head_->options().range;
  const int64_t begin = range.begin + static_cast<int64_t>(index - section.first_piece) * section.rows_per_piece;
  return {begin, std::min(begin + section.rows_per_piece, range.end)};
}

size_t RowSnapshot::BytesOf(const Section& section, size_t index) const {
  return static_cast<size_t>(RowsOf(section, index).size() * section.row_bytes);
}

absl::Status RowSnapshot::Read(const Section& section, size_t index, std::byte* to) const {
  return head_->ReadHeld(section.part, RowsOf(section, index), absl::MakeSpan(to, BytesOf(section, index)));
}

}  // namespace arcshard::shard
