#include "worker/inference/verifier.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"

namespace arcshard::worker {

absl::Status Verifier::Load(const RunConfig& config) {
  ASSIGN_OR_RETURN(sets_, LoadVerificationSets(config.verification.sets));
  names_.clear();
  for (const auto& set : sets_) names_.push_back(NameOfSet(config.verification, set->path()));
  side_ = config.data.image_size;
  options_.normalization = {static_cast<float>(config.data.pixel_mean), static_cast<float>(config.data.pixel_std)};
  options_.threads = config.cluster.worker_threads;
  // All threads together hold as many images in memory as one micro-batch of training.
  options_.batch_size = std::max<int64_t>(1, config.data.micro_batch_size / config.cluster.worker_threads);
  return absl::OkStatus();
}

absl::Status Verifier::Check(const VerificationShare& share, const Heed& heed) {
  Begin(share);
  const absl::Status status = CheckSets(sets_, side_, options_.threads, share, CountAnd(heed));
  End();
  return status;
}

absl::StatusOr<Verifier::Results> Verifier::Verify(Backbone* backbone, const VerificationShare& share,
                                                   AllReduce* all_reduce, const Heed& heed) {
  EmbedOptions options = options_;
  options.after_batch = CountAnd(heed);
  Begin(share);
  auto results = VerifyTogether(backbone, sets_, options, share, all_reduce);
  End();
  return results;
}

Verifier::Reports Verifier::ReportsOf(const Results& results) const {
  Reports reports;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!results[i].ok()) {
      reports.problems.emplace_back(results[i].status().message());
      continue;
    }
    VerificationReport& set = reports.sets.emplace_back(ReportOf(*sets_[i], *results[i]));
    set.name = names_[i];
    LogInfo(absl::StrCat(set.name, ": ", DescribeFolds(set), "; ", DescribeAllPairs(set)));
  }
  return reports;
}

void Verifier::AddTo(ParticipantStats* stats) const {
  stats->verified_images = done_;
  stats->images_to_verify = images_;
}

std::function<absl::Status(int64_t)> Verifier::CountAnd(const Heed& heed) {
  return [this, heed](int64_t images) {
    done_ = static_cast<uint64_t>(images);
    return heed();
  };
}

}  // namespace arcshard::worker
