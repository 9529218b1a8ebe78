#pragma once

#include "common/program/command_line.h"

namespace arcshard::cli {

// How a backbone is applied to images: the options that verify and embed have in common.
struct ForwardOptions {
  int threads = 0;            // forward passes at the same time; 0: one for each core that this process may use
  int batch = 16;             // images of a forward pass
  double pixel_mean = 127.5;  // the network's input is (pixel - mean) / std, as in training
  double pixel_std = 127.5;

  void AddTo(CommandLine* command);
};

}  // namespace arcshard::cli
