#pragma once

#include <string>
#include <vector>

namespace arcshard {

// A command line as it was declared, for what is generated from it.
struct OptionDescription {
  std::vector<std::string> names = {};  // "-o", "--output"; empty: an argument, recognised by its place
  std::string help;
  std::vector<std::string> words = {};  // the values that are allowed, if they are listed
  bool takes_value = true;
};

struct CommandDescription {
  std::string name;
  std::string help;
  std::vector<OptionDescription> options = {};  // and arguments
  std::vector<CommandDescription> commands = {};
};

}  // namespace arcshard
