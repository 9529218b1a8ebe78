#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/device_name.h"
#include "common/program/command_description.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

// A program's commands and their options, described to CLI11. Outside bench/ only command_line.cc includes CLI11, which
// takes longer to compile than any other header.
namespace arcshard {

inline constexpr int kUsageError = 2;  // exit code for wrong arguments

// An option or argument that CommandLine has added. The methods narrow it down and return it. A handle: the
// CommandLineParser owns the option.
class CommandLineOption {
 public:
  CommandLineOption& ValueName(const char* name);  // what --help calls its value: "FOLDER"
  CommandLineOption& Required();
  CommandLineOption& ShowDefault();  // --help shows the value that the variable has now
  CommandLineOption& Positive();
  CommandLineOption& NotNegative();
  CommandLineOption& Within(int64_t least, int64_t most);
  CommandLineOption& WithinReals(double least, double most);
  CommandLineOption& OneOf(const std::vector<std::string>& words);
  // check: returns what is wrong with a value, as a sentence; empty: nothing.
  CommandLineOption& Check(const std::function<std::string(const std::string&)>& check);
  CommandLineOption& Excludes(const CommandLineOption& other);
  CommandLineOption& Needs(const CommandLineOption& other);
  CommandLineOption& OneValueEach();                           // the option may be repeated, each time with one value
  CommandLineOption& SeparatedByCommas();                      // several values in one word
  CommandLineOption& OrFromEnvironment(const char* variable);  // read where the option is not given

 private:
  friend class CommandLine;
  explicit CommandLineOption(CLI::Option* option) : option_(option) {}

  CLI::Option* option_;
};

// The command line of one command, or of the program that has the commands. A handle: the CommandLineParser owns what
// is added.
class CommandLine {
 public:
  // Parsing writes to `value`, which must live until then. name: "--set" or "-o,--output"; without a dash it is an
  // argument, recognised by its place.
  CommandLineOption Add(const char* name, std::string* value, const char* help);
  CommandLineOption Add(const char* name, std::vector<std::string>* value, const char* help);
  CommandLineOption Add(const char* name, int* value, const char* help);
  CommandLineOption Add(const char* name, int64_t* value, const char* help);
  CommandLineOption Add(const char* name, uint32_t* value, const char* help);
  CommandLineOption Add(const char* name, uint64_t* value, const char* help);
  CommandLineOption Add(const char* name, double* value, const char* help);
  CommandLineOption AddFlag(const char* name, bool* value, const char* help);

  // Adds a command below this one. A command that has commands needs one of them to be given.
  CommandLine AddCommand(const char* name, const char* help);

  void Footer(const char* text);  // the last line of --help
  bool given() const;             // whether the command line that was parsed has this command

 private:
  friend class CommandLineParser;
  explicit CommandLine(CLI::App* app) : app_(app) {}

  CLI::App* app_;
};

// Parses a program's command line.
class CommandLineParser {
 public:
  // program: its name, "arcshard". version: what --version prints, or null.
  CommandLineParser(const char* program, const char* help, const char* version);
  ~CommandLineParser();

  CommandLine root() const;

  // Adds the commands `help [command ...]`, which prints what --help prints, and `completion bash | zsh`. For a program
  // that has commands, after these.
  void AddHelpCommands();

  CommandDescription Describe() const;

  enum class Outcome { kCommand, kHelpShown };
  // Call it once, after all commands have been added. arguments: without the program's name. kHelpShown: --help or
  // --version was given, or a command of AddHelpCommands, and the answer has been printed. InvalidArgument: one
  // sentence that says what is wrong, names the nearest command or option for an unknown one, and which --help to read.
  absl::StatusOr<Outcome> Parse(std::vector<std::string> arguments);

 private:
  const std::unique_ptr<CLI::App> app_;
  bool has_help_commands_ = false;
  std::vector<std::string> help_words_;  // arguments of the command help
  std::string shell_;                    // of the command completion
};

// The following are for a program's main: a result is the exit code with which it must end, because the function has
// printed the help, or has logged in one sentence what is wrong.

// The exit code is 1 if not all of a help could be written. argv[0], the program's name, is not looked at.
std::optional<int> ParseCommandLine(CommandLineParser* parser, int argc, char** argv);
// Converts the value of an option such as --connect-timeout.
std::optional<int> ParseDurationOption(absl::string_view option, const std::string& text, absl::Duration* value);
// Converts the value of an option such as --device.
std::optional<int> ParseDeviceOption(absl::string_view option, const std::string& text, DeviceName* value);

}  // namespace arcshard
