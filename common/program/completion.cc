#include "common/program/completion.h"

#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace arcshard {
namespace {

// A command and the words that lead to it: "arcshard data pack".
struct Place {
  std::string words;
  const CommandDescription* command;
};

void AddPlaces(const std::string& before, const CommandDescription& command, std::vector<Place>* places) {
  const std::string words = before.empty() ? command.name : absl::StrCat(before, " ", command.name);
  places->push_back({words, &command});
  for (const CommandDescription& below : command.commands) AddPlaces(words, below, places);
}

std::vector<Place> PlacesOf(const CommandDescription& program) {
  std::vector<Place> places;
  AddPlaces("", program, &places);
  return places;
}

std::string InSingleQuotes(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// The name of the shell's function.
std::string FunctionOf(const CommandDescription& program) {
  return absl::StrCat("_", absl::StrReplaceAll(program.name, {{"-", "_"}}));
}

// Lines of a `case` that is decided by the place and the word before the one that is completed. `offer` is what is done
// where that word is an option with listed values; an option with a free value gets `files`.
std::string CasesOfValues(const std::vector<Place>& places,
                          const std::function<std::string(const std::vector<std::string>&)>& offer,
                          absl::string_view files) {
  std::string text;
  for (const Place& place : places) {
    for (const OptionDescription& option : place.command->options) {
      if (option.names.empty() || !option.takes_value) continue;
      std::vector<std::string> patterns;
      for (const std::string& name : option.names) patterns.push_back(absl::StrCat("\"", place.words, " ", name, "\""));
      absl::StrAppend(&text, "    ", absl::StrJoin(patterns, "|"), ") ",
                      option.words.empty() ? files : offer(option.words), "; return ;;\n");
    }
  }
  return text;
}

// "arcshard train"|"arcshard data": what is a place, together with the words before it.
std::string PatternOfPlaces(const std::vector<Place>& places) {
  std::vector<std::string> patterns;
  for (size_t i = 1; i < places.size(); ++i) patterns.push_back(absl::StrCat("\"", places[i].words, "\""));
  return absl::StrJoin(patterns, "|");
}

std::vector<std::string> NamesOfOptions(const CommandDescription& command) {
  std::vector<std::string> names;
  for (const OptionDescription& option : command.options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

// What may stand where no option does: the commands, or the words of an argument.
std::vector<std::string> WordsOf(const CommandDescription& command) {
  std::vector<std::string> words;
  for (const CommandDescription& below : command.commands) words.push_back(below.name);
  for (const OptionDescription& option : command.options) {
    if (option.names.empty()) words.insert(words.end(), option.words.begin(), option.words.end());
  }
  return words;
}

// "name:help" for zsh's _describe.
std::string Described(absl::string_view name, absl::string_view help) {
  return InSingleQuotes(absl::StrCat(absl::StrReplaceAll(name, {{":", "\\:"}}), ":", help));
}

}  // namespace

std::string BashCompletion(const CommandDescription& program) {
  const std::vector<Place> places = PlacesOf(program);
  const std::string function = FunctionOf(program);
  std::string text = absl::StrCat(
      function, "() {\n  local current=${COMP_WORDS[COMP_CWORD]} place=", program.name, " options= words= i\n",
      "  COMPREPLY=()\n  for ((i = 1; i < COMP_CWORD; i++)); do\n    case \"$place ${COMP_WORDS[i]}\" in\n      ",
      PatternOfPlaces(places), ") place=\"$place ${COMP_WORDS[i]}\" ;;\n    esac\n  done\n",
      "  case \"$place ${COMP_WORDS[COMP_CWORD-1]}\" in\n");
  const auto offer = [](const std::vector<std::string>& words) {
    return absl::StrCat("COMPREPLY=($(compgen -W ", InSingleQuotes(absl::StrJoin(words, " ")), " -- \"$current\"))");
  };
  absl::StrAppend(&text, CasesOfValues(places, offer, ":"), "  esac\n  case $place in\n");
  for (const Place& place : places) {
    absl::StrAppend(&text, "    \"", place.words,
                    "\") options=", InSingleQuotes(absl::StrJoin(NamesOfOptions(*place.command), " ")),
                    " words=", InSingleQuotes(absl::StrJoin(WordsOf(*place.command), " ")), " ;;\n");
  }
  absl::StrAppend(&text, "  esac\n  if [[ $current == -* ]]; then words=$options; fi\n",
                  "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\n",
                  "complete -o bashdefault -o default -F ", function, " ", program.name, "\n");
  return text;
}

std::string ZshCompletion(const CommandDescription& program) {
  const std::vector<Place> places = PlacesOf(program);
  const std::string function = FunctionOf(program);
  std::string text = absl::StrCat("#compdef ", program.name, "\n", function, "() {\n  local place=", program.name,
                                  " i\n  local -a options commands\n  for ((i = 2; i < CURRENT; i++)); do\n",
                                  "    case \"$place ${words[i]}\" in\n      ", PatternOfPlaces(places),
                                  ") place=\"$place ${words[i]}\" ;;\n    esac\n  done\n",
                                  "  case \"$place ${words[CURRENT-1]}\" in\n");
  const auto offer = [](const std::vector<std::string>& words) {
    return absl::StrCat("compadd -- ", absl::StrJoin(words, " "));
  };
  absl::StrAppend(&text, CasesOfValues(places, offer, "_files"), "  esac\n  case $place in\n");
  for (const Place& place : places) {
    std::vector<std::string> options, commands;
    for (const OptionDescription& option : place.command->options) {
      for (const std::string& name : option.names) options.push_back(Described(name, option.help));
      if (!option.names.empty()) continue;
      for (const std::string& word : option.words) commands.push_back(Described(word, option.help));
    }
    for (const CommandDescription& below : place.command->commands) {
      commands.push_back(Described(below.name, below.help));
    }
    absl::StrAppend(&text, "    \"", place.words, "\")\n      options=(", absl::StrJoin(options, " "),
                    ")\n      commands=(", absl::StrJoin(commands, " "), ") ;;\n");
  }
  absl::StrAppend(&text, "  esac\n  if [[ ${words[CURRENT]} == -* ]]; then _describe option options\n",
                  "  elif ((${#commands})); then _describe command commands\n  else _files; fi\n}\n", "compdef ",
                  function, " ", program.name, "\n");
  return text;
}

}  // namespace arcshard
