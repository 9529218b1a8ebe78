#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/manifest.h"

namespace arcshard::simulation {

// The run's folder, which all processes share: the incarnation, the parts of checkpoints and their manifests.
struct Disk {
  uint64_t incarnation = 0;
  std::map<std::string, std::map<std::string, uint64_t>> parts;  // by folder and name: the state that was written
  std::map<std::string, Manifest> manifests;                     // by folder
  std::set<std::string> was_complete;                            // folders that have or had a manifest
  std::map<std::string, uint64_t> model;                         // what members have written at the run's end

  // The folder of the newest complete checkpoint; empty: there is none.
  std::string Newest() const {
    std::string newest;
    for (const auto& [folder, manifest] : manifests) {
      if (newest.empty() || manifests.at(newest).step < manifest.step) newest = folder;
    }
    return newest;
  }
};

}  // namespace arcshard::simulation
