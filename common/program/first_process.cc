#include "common/program/first_process.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>

namespace arcshard {

void EndOnSignalsAsFirstProcess() {
  if (getpid() != 1) return;
  struct sigaction end {};
  end.sa_handler = [](int signal) { _exit(128 + signal); };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaction(signal, &end, nullptr);
}

}  // namespace arcshard
