#include "coordinator/policy/resume.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"

namespace arcshard::coordinator {

absl::Status CheckResumed(const ResumePoint& resume, const RunConfig& config, const DatasetReport& data,
                          int64_t num_classes, const SamplePlan& plan) {
  const Manifest& manifest = resume.manifest;
  const auto differs = [&](absl::string_view what, auto now, auto before) {
    return absl::FailedPreconditionError(absl::StrCat("the run cannot resume: data.train has ", now, " ", what,
                                                      ", but had ", before, " when ", resume.folder,
                                                      " was made; init_from.checkpoint starts a new run from it"));
  };
  if (data.samples != manifest.data.samples) return differs("samples", data.samples, manifest.data.samples);
  if (num_classes != manifest.num_classes) return differs("classes (head.classes)", num_classes, manifest.num_classes);
  if (data.fingerprint != manifest.data.fingerprint) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the run cannot resume: data.train is not what it was when %s was made (its index has the "
                        "fingerprint %016x, and had %016x); init_from.checkpoint starts a new run from it",
                        resume.folder, data.fingerprint, manifest.data.fingerprint));
  }
  if (manifest.step > plan.total_steps()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the run cannot resume: ", resume.folder, " is of step ", manifest.step, ", but with schedule.epochs ",
        config.schedule.epochs, " the run has only ", plan.total_steps(), " steps"));
  }
  return absl::OkStatus();
}

}  // namespace arcshard::coordinator
