#include "common/rpc/checkpoint_pieces.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/convert/convert_reports.h"

namespace arcshard {
namespace {

// The message without its files.
v1::CheckpointReport HeadOf(const v1::CheckpointReport& report) {
  v1::CheckpointReport head;
  *head.mutable_view() = report.view();
  head.set_step(report.step());
  return head;
}

v1::CheckpointFile* AddFile(const v1::CheckpointFile& file, v1::CheckpointReport* out) {
  v1::CheckpointFile* const added = out->add_files();
  added->set_name(file.name());
  added->set_bytes(file.bytes());
  added->set_crc32c(file.crc32c());
  return added;
}

bool SameFile(const v1::CheckpointFile& one, const v1::CheckpointFile& other) {
  return one.name() == other.name() && one.bytes() == other.bytes() && one.crc32c() == other.crc32c();
}

}  // namespace

std::vector<v1::ParticipantMessage> PiecesOf(const CheckpointReport& report) {
  const v1::CheckpointReport whole = ToProto(report);
  std::vector<v1::ParticipantMessage> pieces(1);
  *pieces.back().mutable_checkpoint() = HeadOf(whole);
  int room = kMostBlocksOfAPiece;
  for (const v1::CheckpointFile& file : whole.files()) {
    v1::CheckpointFile* out = AddFile(file, pieces.back().mutable_checkpoint());
    for (int begin = 0; begin < file.block_crc32c_size();) {
      if (room == 0) {
        pieces.back().mutable_checkpoint()->set_more(true);
        *pieces.emplace_back().mutable_checkpoint() = HeadOf(whole);
        out = AddFile(file, pieces.back().mutable_checkpoint());
        room = kMostBlocksOfAPiece;
      }
      const int count = std::min(room, file.block_crc32c_size() - begin);
      const auto first = file.block_crc32c().begin() + begin;
      out->mutable_block_crc32c()->Add(first, first + count);
      begin += count;
      room -= count;
    }
  }
  v1::CheckpointReport* const last = pieces.back().mutable_checkpoint();
  last->set_error(whole.error());
  last->set_code(whole.code());
  last->set_seconds(whole.seconds());
  return pieces;
}

absl::StatusOr<std::optional<CheckpointReport>> CheckpointAssembler::Add(const v1::CheckpointReport& piece) {
  if (const absl::Status status = Append(piece); !status.ok()) {
    so_far_.reset();
    return status;
  }
  if (piece.more()) return std::nullopt;
  const v1::CheckpointReport whole = *std::exchange(so_far_, std::nullopt);
  ASSIGN_OR_RETURN(CheckpointReport report, FromProto(whole));
  return report;
}

absl::Status CheckpointAssembler::Append(const v1::CheckpointReport& piece) {
  if (!so_far_.has_value()) {
    so_far_ = v1::CheckpointReport();
    so_far_->set_step(piece.step());
    if (piece.has_view()) *so_far_->mutable_view() = piece.view();
    blocks_ = 0;
  }
  const bool same_view = piece.view().incarnation() == so_far_->view().incarnation() &&
                         piece.view().counter() == so_far_->view().counter();
  if (piece.step() != so_far_->step() || !same_view) {
    return absl::InvalidArgumentError(absl::StrCat("checkpoint: the report of step ", so_far_->step(),
                                                   " is incomplete: one of step ", piece.step(),
                                                   " came between its pieces"));
  }
  for (const v1::CheckpointFile& file : piece.files()) {
    blocks_ += static_cast<uint64_t>(file.block_crc32c_size());
    if (blocks_ > kMaxPartBytes / FileRecord::kBlockBytes || so_far_->files_size() > kMostFilesOfAPart) {
      return absl::InvalidArgumentError("checkpoint.files: the part is larger than a part can be");
    }
    const bool continues = so_far_->files_size() > 0 && SameFile(*so_far_->files().rbegin(), file);
    v1::CheckpointFile* const out =
        continues ? so_far_->mutable_files(so_far_->files_size() - 1) : AddFile(file, &*so_far_);
    out->mutable_block_crc32c()->MergeFrom(file.block_crc32c());
  }
  so_far_->set_error(piece.error());
  so_far_->set_code(piece.code());
  so_far_->set_seconds(piece.seconds());
  return absl::OkStatus();
}

}  // namespace arcshard
