#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/pickle/torch_file.h"

namespace arcshard::cli {

// A tensor that can be read from the file it lies in.
struct TensorInFile {
  std::string name;
  std::shared_ptr<const TorchFile> file;
  TorchTensor tensor;
};

// What InsightFace's arcface_torch left of a training: nothing of it is in memory but where it lies.
struct InsightFaceState {
  // The classes of one rank, in the order of ranks.
  struct Rank {
    TensorInFile centers;                    // rows×D
    std::vector<TensorInFile> moments = {};  // rows×D: none, SGD's momentum, or AdamW's two
    int64_t moment_steps = 0;                // AdamW's count
  };

  uint64_t step = 0;
  int64_t epoch = 0;
  std::vector<Rank> ranks;
  int64_t num_classes = 0;     // N, of all ranks
  int64_t embedding_size = 0;  // D; 0: there are no ranks

  std::vector<TensorInFile> backbone;          // state_dict, "module." taken off
  std::vector<TensorInFile> backbone_moments;  // "momentum.<parameter>", or "first_moment.…" and "second_moment.…"
  int64_t backbone_steps = 0;                  // AdamW's count
  std::string optimizer;                       // of the moments: sgd, adamw; empty: there are none
  std::vector<std::string> notes;              // sentences: what was not taken, and why
};

struct InsightFaceOptions {
  std::string folder;
  int64_t num_classes = 0;     // N that the ranks must add up to; 0: what they add up to
  int64_t embedding_size = 0;  // D that they must have; 0: what they have
};

// Reads a folder with either
//   checkpoint_gpu_<r>.pt           of train_v2.py with save_all_states, or
//   rank_<r>_softmax_weight.pt      of partial_fc.py before, and rank_<r>_softmax_weight_mom.pt if they are there,
// for r = 0, 1, ..., and with model.pt or backbone.pth where no checkpoint_gpu_0.pt has the backbone. Any of both parts
// may be absent, not both.
// NotFound: there is nothing of it, or a rank is missing between others; says which. InvalidArgument: a file is not
// what its name says, ranks have another D, or do not add up to N: without num_classes by arcface_torch's own rule that
// rank r of R has N/R rows, and one more if r < N mod R. Else as TorchFile.
absl::StatusOr<InsightFaceState> ReadInsightFace(const InsightFaceOptions& options);

}  // namespace arcshard::cli
