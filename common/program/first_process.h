#pragma once

namespace arcshard {

// The kernel keeps SIGINT, SIGTERM and SIGHUP from the first process of a container unless it handles them: Ctrl-C
// would have no effect, and `docker stop` would wait and then kill. From now on they end this process at once, with
// status 128 + the signal, as they end any other. Does nothing in another process. A SignalQueue takes precedence.
void EndOnSignalsAsFirstProcess();

}  // namespace arcshard
