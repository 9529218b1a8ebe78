#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/io/safetensors.h"
#include "common/protocol/best_verification.h"
#include "common/protocol/types.h"
#include "worker/backbone/backbone.h"

namespace arcshard::worker {

// Writes the backbones that a run leaves in its folder model/: best_backbone.safetensors, the one with the best
// accuracy so far, and backbone.safetensors, the final one. Each file appears whole or not at all. Every worker of a
// run has the same backbone and the same results, so only the first one of the view writes. Not thread-safe.
//
// A worker may be stopped in the middle of this, and go on when the run has long gone on without it. So before a file
// appears it is looked at whether the run's coordinator has been replaced, and whether the file is of a later view.
//
// Errors name the file or the folder; they are those of CreateFolders and SaveBackbone, that of `may_write`, and
// FailedPrecondition: the run has gone on without this worker. Nothing has changed then.
class ModelKeeper {
 public:
  struct Options {
    std::string run_folder;
    bool keep_best = true;                              // whether the best backbone is written
    std::function<absl::Status()> may_write = nullptr;  // is asked before a file appears; null: it may
  };
  explicit ModelKeeper(Options options) : options_(std::move(options)) {}

  // Of which state a backbone is, and in which view it is written.
  struct Moment {
    View view;
    uint64_t step = 0;
  };

  // The backbone has been verified with these results. It is written if it is better than `best`, the best one so far.
  absl::Status AfterEvaluation(const Backbone& backbone, const Moment& moment, BestVerification best,
                               const std::vector<VerificationReport>& reports) const;

  // The run has ended with this backbone.
  absl::Status WriteFinal(const Backbone& backbone, const Moment& moment) const;

 private:
  absl::Status Write(const Backbone& backbone, const Moment& moment, absl::string_view name,
                     SafetensorsMetadata metadata) const;
  // Whether the run has gone on without this worker since `view`.
  absl::Status Guard(const View& view, const std::string& path) const;

  const Options options_;
};

}  // namespace arcshard::worker
