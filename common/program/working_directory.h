#pragma once

// Included by a program's main file, once. A program that is started in a folder that was deleted ends with a sentence:
// relative paths lead nowhere from there, and LibTorch's MKL, which looks for its own file when it is loaded, would end
// the process with an error that names neither. That is before main, so the folder is looked at before any library is
// initialised (.preinit_array).
namespace arcshard {

void RequireWorkingDirectory(int argc, char** argv, char** environment);

__attribute__((section(".preinit_array"),
               used)) static void (*const kBeforeLibraries)(int, char**, char**) = RequireWorkingDirectory;

}  // namespace arcshard
