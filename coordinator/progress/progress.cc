#include "coordinator/progress/progress.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/text/readable_number.h"

namespace arcshard::coordinator {
namespace {

constexpr size_t kWindow = 32;  // steps

// An image is embedded twice, once mirrored, and a forward pass is about a third of what a sample takes in training.
constexpr double kSamplesPerImage = 2.0 / 3.0;

std::string WithWaiting(absl::string_view what, const Progress& progress) {
  return progress.waiting_for.empty() ? std::string(what) : absl::StrCat(what, ": ", progress.waiting_for);
}

// "120 of 300 images", after `before`; empty if it is not known.
std::string ImagesOf(const Progress& progress, absl::string_view before) {
  if (progress.images_to_verify == 0) return "";
  return absl::StrCat(before, progress.verified_images, " of ", progress.images_to_verify, " images");
}

std::string DescribeTraining(const Progress& progress) {
  std::string line = absl::StrFormat("epoch %s/%g  step %d/%d", ReadableEpochs(progress.epoch, progress.epochs),
                                     progress.epochs, progress.step, progress.steps);
  if (progress.step > progress.resumed_step) {  // this life of the run has decided a step
    absl::StrAppendFormat(&line, "  loss %.4f  cos %.3f  lr %.4g", progress.loss, progress.target_cosine, progress.lr);
  }
  if (progress.samples_per_second > 0.0) {
    absl::StrAppendFormat(&line, "  %s samples/s  eta %s", ReadableRate(progress.samples_per_second),
                          absl::FormatDuration(absl::Trunc(absl::Seconds(progress.eta_seconds), absl::Seconds(1))));
  }
  if (progress.skipped > 0) absl::StrAppendFormat(&line, "  skipped %d", progress.skipped);
  if (progress.corrupt_records > 0) absl::StrAppendFormat(&line, "  corrupt records %d", progress.corrupt_records);
  return line;
}

}  // namespace

std::string DescribeProgress(const Progress& progress) {
  switch (progress.phase) {
    case Phase::kGathering:
      return WithWaiting("gathering", progress);
    case Phase::kJoining:
      return absl::StrCat(WithWaiting("joining", progress), ImagesOf(progress, "; checking the verification sets, "));
    case Phase::kTraining:
      return DescribeTraining(progress);
    case Phase::kEvaluating:
      return absl::StrCat("evaluating after step ", progress.step, ImagesOf(progress, ": "));
    case Phase::kStopping:
      return WithWaiting("stopping", progress);
    case Phase::kFinished:
      if (progress.steps == 0) return "stopped before the run began";
      return absl::StrCat("finished after step ", progress.step, " of ", progress.steps);
    case Phase::kFailed:
      return WithWaiting("failed", progress);
    case Phase::kRecovering:
      return absl::StrCat(WithWaiting(absl::StrCat("recovering after step ", progress.step), progress),
                          ImagesOf(progress, "; checking the verification sets, "));
  }
  return "";
}

void Throughput::StepDone(MonotonicTime now, uint64_t samples) {
  steps_.push_back({now - since_, samples});
  if (steps_.size() > kWindow) steps_.pop_front();
  since_ = now;
}

double Throughput::samples_per_second() const {
  absl::Duration took;
  uint64_t samples = 0;
  for (const Step& step : steps_) {
    took += step.took;
    samples += step.samples;
  }
  return took > absl::ZeroDuration() ? static_cast<double>(samples) / absl::ToDoubleSeconds(took) : 0.0;
}

absl::Duration Throughput::step_duration() const {
  absl::Duration took;
  for (const Step& step : steps_) took += step.took;
  return steps_.empty() ? took : took / static_cast<int64_t>(steps_.size());
}

absl::Duration VerificationTimes::Expected(uint64_t images, double samples_per_second) const {
  if (last_.has_value()) return *last_;
  if (samples_per_second <= 0.0) return absl::ZeroDuration();
  return absl::Seconds(kSamplesPerImage * static_cast<double>(images) / samples_per_second);
}

absl::Duration VerificationTimes::Left(MonotonicTime now, uint64_t done, uint64_t images,
                                       absl::Duration expected) const {
  const absl::Duration elapsed = now - began_;
  if (done == 0 || done > images) return std::max(absl::ZeroDuration(), expected - elapsed);
  return elapsed * (static_cast<double>(images - done) / static_cast<double>(done));
}

}  // namespace arcshard::coordinator
