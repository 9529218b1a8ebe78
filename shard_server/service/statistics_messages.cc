#include "shard_server/service/statistics_messages.h"

#include <algorithm>

#include "common/rpc/convert/convert.h"
#include "common/rpc/tensor_codec.h"

namespace arcshard::shard {
namespace {

void EncodeRows(WireType type, head::MatrixView<const float> matrix, int64_t piece, v1::Tensor* out) {
  EncodePiece(type, {matrix.rows, matrix.cols}, {matrix.data, static_cast<size_t>(matrix.size())}, piece, out);
}

}  // namespace

std::vector<v1::ShardMessage> StatisticsMessages(const Key& key, const PartialStatistics& statistics, WireType type) {
  const int64_t u_bytes = statistics.u.size() * BytesOfValue(type);
  const int64_t centers_bytes = statistics.own_centers.size() * BytesOfValue(type);
  std::vector<v1::ShardMessage> messages;
  const auto add_message = [&]() -> v1::Statistics* {
    messages.emplace_back();
    *messages.back().mutable_key() = ToProto(key);
    return messages.back().mutable_statistics();
  };
  v1::Statistics* message = add_message();
  *message->mutable_z() = EncodeTensor<float>({static_cast<int64_t>(statistics.z.size())}, statistics.z);
  message->mutable_own_rows()->Add(statistics.own_rows.begin(), statistics.own_rows.end());
  int64_t bytes = static_cast<int64_t>(message->ByteSizeLong());  // of the last message
  for (int64_t piece = 0; piece < NumPieces(u_bytes); ++piece) {
    const int64_t size = std::min(kMaxPieceBytes, u_bytes - piece * kMaxPieceBytes);
    if (piece > 0 || bytes + size > kMaxPieceBytes) {
      message = add_message();
      bytes = 0;
    }
    EncodeRows(type, statistics.u, piece, message->mutable_u());
    bytes += size;
  }
  for (int64_t piece = 0; piece < NumPieces(centers_bytes); ++piece) {
    const int64_t size = std::min(kMaxPieceBytes, centers_bytes - piece * kMaxPieceBytes);
    if (piece > 0 || bytes + size > kMaxPieceBytes) {
      message = add_message();
      bytes = 0;
    }
    EncodeRows(type, statistics.own_centers, piece, message->mutable_own_centers());
    bytes += size;
  }
  return messages;
}

}  // namespace arcshard::shard
