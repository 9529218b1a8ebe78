#include "common/program/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/io/log.h"
#include "common/text/nearest_name.h"
#include "common/text/printable_text.h"

namespace arcshard {
namespace {

// Where a command is expected but an unknown word stands: a sentence with the nearest command; empty: all are known.
std::string UnknownCommand(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* parent = &app;
  for (const std::string& argument : arguments) {
    if (argument.starts_with('-')) break;
    std::vector<std::string> names;
    const CLI::App* found = nullptr;
    for (const CLI::App* command : parent->get_subcommands([](const CLI::App*) { return true; })) {
      if (command->get_name() == argument) found = command;
      names.push_back(command->get_name());
    }
    if (names.empty()) break;  // the rest are the command's arguments
    if (found == nullptr) {
      return absl::StrCat("'", argument, "' is not a command; did you mean ", NearestNames(argument, names), "?");
    }
    parent = found;
  }
  return "";
}

// "arcshard data pack": the program and the command that was given.
std::string GivenCommand(const CLI::App& app) {
  std::string words = app.get_name();
  for (auto given = app.get_subcommands(); !given.empty(); given = given.front()->get_subcommands()) {
    absl::StrAppend(&words, " ", given.front()->get_name());
  }
  return words;
}

}  // namespace

CommandLineOption& CommandLineOption::ValueName(const char* name) {
  option_->type_name(name);
  return *this;
}

CommandLineOption& CommandLineOption::Required() {
  option_->required();
  return *this;
}

CommandLineOption& CommandLineOption::ShowDefault() {
  option_->capture_default_str();
  return *this;
}

CommandLineOption& CommandLineOption::Positive() {
  option_->check(CLI::PositiveNumber);
  return *this;
}

CommandLineOption& CommandLineOption::NotNegative() {
  option_->check(CLI::NonNegativeNumber);
  return *this;
}

CommandLineOption& CommandLineOption::Within(int64_t least, int64_t most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

CommandLineOption& CommandLineOption::WithinReals(double least, double most) {
  option_->check(CLI::Range(least, most));
  return *this;
}

CommandLineOption& CommandLineOption::OneOf(const std::vector<std::string>& words) {
  option_->check(CLI::IsMember(words));
  return *this;
}

CommandLineOption& CommandLineOption::Check(const std::function<std::string(const std::string&)>& check) {
  option_->check(check);
  return *this;
}

CommandLineOption& CommandLineOption::Excludes(const CommandLineOption& other) {
  option_->excludes(other.option_);
  return *this;
}

CommandLineOption& CommandLineOption::Needs(const CommandLineOption& other) {
  option_->needs(other.option_);
  return *this;
}

CommandLineOption& CommandLineOption::OneValueEach() {
  option_->allow_extra_args(false);
  return *this;
}

CommandLineOption& CommandLineOption::SeparatedByCommas() {
  option_->delimiter(',');
  return *this;
}

CommandLineOption& CommandLineOption::OrFromEnvironment(const char* variable) {
  option_->envname(variable);
  return *this;
}

CommandLineOption CommandLine::Add(const char* name, std::string* value, const char* help) {
  return CommandLineOption(app_->add_option(name, *value, help));
}

CommandLineOption CommandLine::Add(const char* name, std::vector<std::string>* value, const char* help) {
  return CommandLineOption(app_->add_option(name, *value, help));
}

CommandLineOption CommandLine::Add(const char* name, int* value, const char* help) {
  return CommandLineOption(app_->add_option(name, *value, help));
}

CommandLineOption CommandLine::Add(const char* name, int64_t* value, const char* help) {
  return CommandLineOption(app_->add_option(name, *value, help));
}

CommandLineOption CommandLine::Add(const char* name, uint32_t* value, const char* help) {
  return CommandLineOption(app_->add_option(name, *value, help));
}

CommandLineOption CommandLine::Add(const char* name, uint64_t* value, const char* help) {
  return CommandLineOption(app_->add_option(name, *value, help));
}

CommandLineOption CommandLine::Add(const char* name, double* value, const char* help) {
  return CommandLineOption(app_->add_option(name, *value, help));
}

CommandLineOption CommandLine::AddFlag(const char* name, bool* value, const char* help) {
  return CommandLineOption(app_->add_flag(name, *value, help));
}

CommandLine CommandLine::AddCommand(const char* name, const char* help) {
  app_->require_subcommand(1);
  return CommandLine(app_->add_subcommand(name, help));
}

void CommandLine::Footer(const char* text) { app_->footer(text); }

bool CommandLine::given() const { return app_->parsed(); }

CommandLineParser::CommandLineParser(const char* program, const char* help, const char* version)
    : app_(std::make_unique<CLI::App>(help, program)) {
  if (version != nullptr) app_->set_version_flag("--version", version);
}

CommandLineParser::~CommandLineParser() = default;

CommandLine CommandLineParser::root() const { return CommandLine(app_.get()); }

absl::StatusOr<CommandLineParser::Outcome> CommandLineParser::Parse(std::vector<std::string> arguments) {
  if (const std::string sentence = UnknownCommand(*app_, arguments); !sentence.empty()) {
    return absl::InvalidArgumentError(sentence);
  }
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  try {
    app_->parse(std::move(arguments));
    return Outcome::kCommand;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      return absl::InvalidArgumentError(absl::StrCat(error.what(), " (see ", GivenCommand(*app_), " --help)"));
    }
    std::ostringstream help, nothing;  // or the version
    app_->exit(error, help, nothing);
    std::fputs((ShowsUnicode(STDOUT_FILENO) ? help.str() : PlainText(help.str())).c_str(), stdout);
    return Outcome::kHelpShown;
  }
}

std::optional<int> ParseCommandLine(CommandLineParser* parser, int argc, char** argv) {
  const auto outcome = parser->Parse(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  if (outcome.ok() && *outcome == CommandLineParser::Outcome::kCommand) return std::nullopt;
  if (outcome.ok()) return 0;
  LogError(outcome.status().message());
  return kUsageError;
}

std::optional<int> ParseDurationOption(absl::string_view option, const std::string& text, absl::Duration* value) {
  if (absl::ParseDuration(text, value)) return std::nullopt;
  LogError(absl::StrCat(option, " ", text, " is no duration such as 60s or 2m"));
  return kUsageError;
}

std::optional<int> ParseDeviceOption(absl::string_view option, const std::string& text, DeviceName* value) {
  const absl::StatusOr<DeviceName> parsed = ParseDeviceName(text);
  if (parsed.ok()) {
    *value = *parsed;
    return std::nullopt;
  }
  LogError(absl::StrCat(option, " ", absl::string_view(parsed.status().message())));
  return kUsageError;
}

}  // namespace arcshard
