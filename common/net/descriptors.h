#pragma once

// A process has a limit on how many descriptors it may have open: files and connections share it (`ulimit -n`).
namespace arcshard {

// Raises this process's limit to the most that the system lets it have. Every program calls it first in main: the usual
// limit of 1024 dates from select(), which nothing here uses.
void RaiseDescriptorLimit();

// A connection that a server accepts must have a number below this one. The system gives out the lowest free number,
// so the numbers from here to the limit stay free for files, whoever connects: a checkpoint, a log, a reloaded
// certificate. Where the limit cannot be asked for, none is assumed.
int FirstReservedDescriptor();

}  // namespace arcshard
