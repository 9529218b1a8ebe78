#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/insightface/state_dict.h"

namespace arcshard::cli {

// The state that InsightFace's arcface_torch saved of a training. The tensors stay in their files.
struct InsightFaceState {
  // The classes of one rank, in the order of ranks.
  struct Rank {
    TensorInFile centers;                    // rows×D
    std::vector<TensorInFile> moments = {};  // rows×D: none, SGD's momentum, or AdamW's two moments
    int64_t moment_steps = 0;                // AdamW's step count
  };

  uint64_t step = 0;
  int64_t epoch = 0;
  std::vector<Rank> ranks;
  int64_t num_classes = 0;     // N, of all ranks
  int64_t embedding_size = 0;  // D; 0: there are no ranks

  std::vector<TensorInFile> backbone;          // state_dict, without the prefixes of wrappers
  std::vector<TensorInFile> backbone_moments;  // "momentum.<parameter>", or "first_moment.…" and "second_moment.…"
  int64_t backbone_steps = 0;                  // AdamW's step count
  std::string optimizer;                       // sgd or adamw; empty: there are no moments
  std::vector<std::string> notes;              // sentences: what was not imported, and why
};

struct InsightFaceOptions {
  std::string folder;
  int64_t num_classes = 0;     // N that the ranks must add up to; 0: any
  int64_t embedding_size = 0;  // D that they must have; 0: any
};

// Reads a folder with either
//   checkpoint_gpu_<r>.pt           of train_v2.py with save_all_states, or
//   rank_<r>_softmax_weight.pt      of the older partial_fc.py, optionally with rank_<r>_softmax_weight_mom.pt,
// for r = 0, 1, ..., and with model.pt or backbone.pth unless checkpoint_gpu_0.pt has the backbone. The class centers
// or the backbone may be absent, but not both. What else a file holds (schedules, settings, random states) is not
// looked at; steps and epochs that are not there are noted. NotFound: there is no such file, or a rank is missing
// between others; the message says which. InvalidArgument: a file is not what its name says, D differs between ranks,
// or the ranks do not add up to N. Without num_classes they must follow the rule of arcface_torch: rank r of R has N/R
// rows, and one more if r < N mod R. Other errors are those of TorchFile.
absl::StatusOr<InsightFaceState> ReadInsightFace(const InsightFaceOptions& options);

}  // namespace arcshard::cli
