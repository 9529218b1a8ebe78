#pragma once

#include <optional>

namespace arcshard::worker {

// `arcshard-worker healthcheck [--address host:port] [--timeout 5s]`, for containers: whether the worker that runs on
// this machine answers on its metrics port. It serves nothing else. A number: as HealthcheckCommand's.
std::optional<int> HealthcheckCommand(int argc, char** argv);

}  // namespace arcshard::worker
