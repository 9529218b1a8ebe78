#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/io/safetensors.h"
#include "common/protocol/best_verification.h"
#include "worker/backbone/backbone.h"

namespace arcshard::worker {

// Writes the backbones that a run leaves in its folder model/: best_backbone.safetensors, the one with the best
// accuracy so far, and backbone.safetensors, the final one. Each file appears whole or not at all.
//
// Every worker of a run has the same backbone and the same results, so each keeps the best accuracy, and the view's
// first worker writes. That may be another worker in the next view. Not thread-safe.
//
// Errors name the file; they are those of CreateFolders and SaveBackbone.
class ModelKeeper {
 public:
  struct Options {
    std::string run_folder;
    bool keep_best = true;  // whether the best backbone is written
  };
  explicit ModelKeeper(Options options);

  // Continues a run whose best verification so far is `best`.
  void Resume(BestVerification best) { best_ = std::move(best); }

  // The backbone as it is after `step` has been verified with these results. After an error the best one is that of
  // before.
  absl::Status AfterEvaluation(const Backbone& backbone, uint64_t step, const std::vector<VerificationReport>& reports,
                               bool writes);

  // The run has ended with the backbone as it is after `step`.
  absl::Status WriteFinal(const Backbone& backbone, uint64_t step) const;

  const BestVerification& best() const { return best_; }

 private:
  absl::Status Write(const Backbone& backbone, absl::string_view name, const SafetensorsMetadata& metadata) const;

  const Options options_;
  BestVerification best_;
};

}  // namespace arcshard::worker
