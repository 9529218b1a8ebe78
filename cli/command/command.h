#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/program/command_line.h"

namespace arcshard::cli {

// A command of arcshard (`arcshard train`), or a family of them (`arcshard data pack | unpack | ...`). Its constructor
// takes the program's CommandLine and adds the command with its options; after parsing, the one command that was given
// is checked and run.
class Command {
 public:
  virtual ~Command() = default;
  Command(const Command&) = delete;  // the parser writes to its members
  Command& operator=(const Command&) = delete;

  bool given() const { return line_.given(); }

  // Wrong usage that the parser cannot see, such as two options of which one is needed. InvalidArgument: a sentence.
  virtual absl::Status Check() const { return absl::OkStatus(); }

  // Does what the command line says, with its results on stdout. Returns the exit status. An error is printed by the
  // caller, which then exits with 1.
  virtual absl::StatusOr<int> Run() = 0;

  // Whether what Run prints is its result, so that the command fails if it cannot be printed.
  virtual bool prints_result() const { return true; }

 protected:
  explicit Command(CommandLine line) : line_(line) {}
  CommandLine& line() { return line_; }

 private:
  CommandLine line_;
};

}  // namespace arcshard::cli
