#include "common/program/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/io/log.h"
#include "common/program/completion.h"
#include "common/program/standard_output.h"
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

// The command that the first words of `arguments` name, and those that it is below of, outermost first.
std::vector<const CLI::App*> NamedCommands(const CLI::App& app, const std::vector<std::string>& arguments) {
  std::vector<const CLI::App*> named = {&app};
  for (const std::string& argument : arguments) {
    const auto below = named.back()->get_subcommands([&](const CLI::App* c) { return c->get_name() == argument; });
    if (below.empty()) break;
    named.push_back(below.front());
  }
  return named;
}

// Where an option is given that the command does not have: a sentence with the nearest one; empty: all are known.
std::string UnknownOption(const CLI::App& app, const std::vector<std::string>& arguments) {
  const std::vector<const CLI::App*> commands = NamedCommands(app, arguments);
  std::vector<std::string> names, words;
  for (const CLI::App* command : commands) words.push_back(command->get_name());
  for (const CLI::Option* option : commands.back()->get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back(absl::StrCat("--", name));
  }
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    const std::string name = argument.substr(0, argument.find('='));
    if (!name.starts_with("--") || std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string command = absl::StrJoin(words, " ");
    return absl::StrCat("'", name, "' is not an option of ", command, "; did you mean ", NearestNames(name, names),
                        "? (see ", command, " --help)");
  }
  return "";
}

OptionDescription DescribeOption(CLI::Option& option) {
  OptionDescription description{.help = option.get_description(), .takes_value = option.get_items_expected_max() > 0};
  for (const std::string& name : option.get_snames()) description.names.push_back(absl::StrCat("-", name));
  for (const std::string& name : option.get_lnames()) description.names.push_back(absl::StrCat("--", name));
  try {
    // The check of OneOf describes itself as {a,b,c}.
    const std::string check = option.get_validator(0)->get_description();
    if (check.starts_with('{') && check.ends_with('}')) {
      description.words = absl::StrSplit(check.substr(1, check.size() - 2), ',');
    }
  } catch (const CLI::OptionNotFound&) {  // it has no check
  }
  return description;
}

CommandDescription DescribeCommand(CLI::App& app) {
  CommandDescription description{.name = app.get_name(), .help = app.get_description()};
  for (CLI::Option* option : app.get_options([](CLI::Option*) { return true; })) {
    description.options.push_back(DescribeOption(*option));
  }
  for (CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
    description.commands.push_back(DescribeCommand(*command));
  }
  return description;
}

// A check that a value is a number that `accepts` takes; CLI11's own ones write the largest double in the message.
std::function<std::string(const std::string&)> NumberCheck(bool (*accepts)(double), const char* which) {
  return [accepts, which](const std::string& text) -> std::string {
    double number = 0;
    if (CLI::detail::lexical_cast(text, number) && std::isfinite(number) && accepts(number)) return "";
    return absl::StrCat("'", text, "' is not a number that is ", which);
  };
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
  option_->check(NumberCheck([](double number) { return number > 0; }, "above 0"), "POSITIVE");
  return *this;
}

CommandLineOption& CommandLineOption::NotNegative() {
  option_->check(NumberCheck([](double number) { return number >= 0; }, "0 or above"), "NONNEGATIVE");
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

void CommandLineParser::AddHelpCommands() {
  has_help_commands_ = true;
  CommandLine help = root().AddCommand("help", "Explain a command and its options, as --help after it does");
  help.Add("command", &help_words_, "The command's words, such as data pack; none: all commands");
  CommandLine completion = root().AddCommand(
      "completion", "Print a script that completes commands and options: eval \"$(arcshard completion bash)\"");
  completion.Add("shell", &shell_, "The shell that reads the script").OneOf({"bash", "zsh"}).Required();
}

CommandDescription CommandLineParser::Describe() const { return DescribeCommand(*app_); }

absl::StatusOr<CommandLineParser::Outcome> CommandLineParser::Parse(std::vector<std::string> arguments) {
  const bool help = has_help_commands_ && !arguments.empty() && arguments[0] == "help";
  if (help && !(arguments.size() == 2 && arguments[1] == "--help")) {
    arguments.erase(arguments.begin());
    arguments.push_back("--help");
  }
  if (const std::string sentence = UnknownCommand(*app_, arguments); !sentence.empty()) {
    return absl::InvalidArgumentError(sentence);
  }
  try {
    app_->parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
    if (shell_.empty()) return Outcome::kCommand;
    std::fputs((shell_ == "bash" ? BashCompletion(Describe()) : ZshCompletion(Describe())).c_str(), stdout);
    return Outcome::kHelpShown;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() != 0) {
      const std::string unknown = UnknownOption(*app_, arguments);
      if (!unknown.empty()) return absl::InvalidArgumentError(unknown);
      return absl::InvalidArgumentError(absl::StrCat(error.what(), " (see ", GivenCommand(*app_), " --help)"));
    }
    std::ostringstream shown, nothing;  // or the version
    app_->exit(error, shown, nothing);
    std::fputs((ShowsUnicode(STDOUT_FILENO) ? shown.str() : PlainText(shown.str())).c_str(), stdout);
    return Outcome::kHelpShown;
  }
}

std::optional<int> ParseCommandLine(CommandLineParser* parser, int argc, char** argv) {
  const auto outcome = parser->Parse(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  if (outcome.ok() && *outcome == CommandLineParser::Outcome::kCommand) return std::nullopt;
  if (outcome.ok()) {
    const absl::Status written = FlushStandardOutput();
    if (!written.ok()) LogError(written.message());
    return written.ok() ? EXIT_SUCCESS : EXIT_FAILURE;
  }
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
