#pragma once

#include <optional>

namespace arcshard::worker {

// `arcshard-worker healthcheck [--address host:port] [--timeout 5s]`, for containers: checks that the worker on this
// machine answers on its metrics port, the only one that it serves. A number: the program ends with this exit code;
// nullopt: the arguments ask for something else.
std::optional<int> HealthcheckCommand(int argc, char** argv);

}  // namespace arcshard::worker
