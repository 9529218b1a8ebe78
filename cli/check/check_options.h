#pragma once

#include <string>

namespace arcshard::cli {

// Of `arcshard check`.
struct CheckOptions {
  std::string run;   // the run's folder
  std::string data;  // folder of the training set, where it is not at data.train; empty: it is
};

}  // namespace arcshard::cli
