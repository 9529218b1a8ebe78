#pragma once

#include <string>

#include "common/program/command_description.h"

namespace arcshard {

// A script that completes a program's commands, options, listed values and, where a value or an argument is free, the
// names of files. It is to be read by the shell: `eval "$(PROGRAM completion bash)"`.
std::string BashCompletion(const CommandDescription& program);
std::string ZshCompletion(const CommandDescription& program);

}  // namespace arcshard
