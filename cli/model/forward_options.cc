#include "cli/model/forward_options.h"

namespace arcshard::cli {

void ForwardOptions::AddTo(CommandLine* command) {
  command
      ->Add("--threads", &threads,
            "Images are spread over this many CPU threads; default: all cores that the process may use")
      .Positive();
  command->Add("--batch", &batch, "Images of a forward pass").Positive().ShowDefault();
  command->Add("--pixel-mean", &pixel_mean, "data.pixel_mean of the training").ShowDefault();
  command->Add("--pixel-std", &pixel_std, "data.pixel_std of the training").Positive().ShowDefault();
}

}  // namespace arcshard::cli
