#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

// A program's commands and their options, described to CLI11. Only command_line.cc includes CLI11, which takes longer
// to compile than any other header.
namespace arcshard::cli {

// An option or argument that CommandLine has added. The methods narrow it down and return it. A handle: the Parser owns
// the option.
class Option {
 public:
  Option& ValueName(const char* name);  // what --help calls its value: "FOLDER"
  Option& Required();
  Option& ShowDefault();  // --help shows the value that the variable has now
  Option& Positive();
  Option& NotNegative();
  Option& Within(int64_t least, int64_t most);
  Option& WithinReals(double least, double most);
  Option& OneOf(const std::vector<std::string>& words);
  // check: returns what is wrong with a value, as a sentence; empty: nothing.
  Option& Check(const std::function<std::string(const std::string&)>& check);
  Option& Excludes(const Option& other);
  Option& Needs(const Option& other);
  Option& OneValueEach();       // the option may be repeated, each time with one value
  Option& SeparatedByCommas();  // several values in one word

 private:
  friend class CommandLine;
  explicit Option(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

// The command line of one command, or of the program that has the commands. A handle: the Parser owns what is added.
class CommandLine {
 public:
  // Parsing writes to `value`, which must live until then. name: "--set" or "-o,--output"; without a dash it is an
  // argument, recognised by its place.
  Option Add(const char* name, std::string* value, const char* help);
  Option Add(const char* name, std::vector<std::string>* value, const char* help);
  Option Add(const char* name, int* value, const char* help);
  Option Add(const char* name, int64_t* value, const char* help);
  Option Add(const char* name, uint32_t* value, const char* help);
  Option Add(const char* name, uint64_t* value, const char* help);
  Option Add(const char* name, double* value, const char* help);
  Option AddFlag(const char* name, bool* value, const char* help);

  // Adds a command below this one. A command that has commands needs one of them to be given.
  CommandLine AddCommand(const char* name, const char* help);

  bool given() const;  // whether the command line that was parsed has this command
  CLI::App* app() const { return app_; }

 private:
  friend class Parser;
  explicit CommandLine(CLI::App* app) : app_(app) {}

  CLI::App* app_;
};

// Parses the command line of a program that has commands.
class Parser {
 public:
  Parser(const char* program, const char* help, const char* version);
  ~Parser();

  CommandLine root() const;

  enum class Outcome { kCommand, kHelpShown };
  // Call it once, after all commands have been added. arguments: without the program's name. kHelpShown: --help or
  // --version was given, and the answer has been printed. InvalidArgument: one sentence that says what is wrong, and
  // which --help to read.
  absl::StatusOr<Outcome> Parse(std::vector<std::string> arguments);

 private:
  const std::unique_ptr<CLI::App> app_;
};

}  // namespace arcshard::cli
