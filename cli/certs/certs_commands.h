#pragma once

#include <string>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"

namespace arcshard::cli {

// `arcshard certs init | renew`.
class CertsCommands {
 public:
  // Adds them to `app`, which must outlive this.
  explicit CertsCommands(CLI::App* app);

  bool parsed() const { return certs_->parsed(); }
  // Prints what was made.
  absl::Status Run() const;

 private:
  CLI::App* Add(const char* name, const char* help);

  std::string folder_;
  int days_ = 365;
  bool keep_ = false;
  CLI::App* certs_;
  CLI::App* init_;  // after the values: a command's help shows their defaults
  CLI::App* renew_;
};

}  // namespace arcshard::cli
