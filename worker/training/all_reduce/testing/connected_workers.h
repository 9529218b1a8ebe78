#pragma once

#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "worker/training/all_reduce/all_reduce.h"
#include "worker/training/all_reduce/rendezvous.h"

namespace arcshard::worker {

// For tests: the options of the worker with this rank among `size` workers with ids 0, 1, ... on this host.
inline AllReduceOptions OptionsOf(const Rendezvous& rendezvous, int rank, int size) {
  AllReduceOptions options;
  options.view = {1, 1};
  options.workers.clear();
  for (int id = 0; id < size; ++id) options.workers.push_back(static_cast<uint32_t>(id));
  options.rank = rank;
  options.rendezvous = rendezvous.address();
  options.interface = "127.0.0.1";
  options.connect_timeout = absl::Minutes(10);
  return options;
}

// For tests: runs `use` for each of `size` workers, which are connected, on a thread of its own.
inline void ForConnectedWorkers(int size, const std::function<void(int rank, AllReduce* all_reduce)>& use) {
  const auto rendezvous = Rendezvous::Listen("127.0.0.1");
  ASSERT_TRUE(rendezvous.ok()) << rendezvous.status();
  std::vector<std::thread> workers;
  for (int rank = 0; rank < size; ++rank) {
    workers.emplace_back([&, rank] {
      AllReduce all_reduce(OptionsOf(**rendezvous, rank, size));
      const absl::Status status = all_reduce.Connect();
      ASSERT_TRUE(status.ok()) << status;
      use(rank, &all_reduce);
    });
  }
  for (std::thread& worker : workers) worker.join();
}

}  // namespace arcshard::worker
