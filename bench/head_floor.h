#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard_server/head/head.h"

namespace arcshard::bench {

// What no step of the head can avoid, each part alone, with as many threads as the head has: its matrix products, one
// pass over weights and moments, and, where weights are not held as the products take them, one conversion of them.
// Nothing stands between the parts: no exponential, no norm, no sum over a batch.
class HeadFloor {
 public:
  // `active_rows`: of the classes that take part in a step, ascending. Looks for the fastest routine and block size
  // that this machine has for the products. ResourceExhausted: no memory.
  static absl::StatusOr<std::unique_ptr<HeadFloor>> Create(const head::HeadOptions& options, int64_t batch,
                                                           std::vector<int64_t> active_rows);
  virtual ~HeadFloor() = default;

  // An error is the device's.

  // Per block: cosines, weighted centers, gradient; and the cosines once more for the share of the classes whose
  // exponentials are not kept.
  virtual absl::Status Products() = 0;
  // In place on the active rows of arrays as large as weights and moments: v <- momentum·v + g, w <- w - lr·v; with a
  // second moment that too, of g^2.
  virtual absl::Status Stream() = 0;
  // Weights of the active rows, converted to the type of the products. Nothing where they are of it.
  virtual absl::Status Read() = 0;

  virtual std::string routine() const = 0;      // "brgemm, 32 rows a call"
  virtual int64_t block_rows() const = 0;       // classes of a block
  virtual double recomputed_share() const = 0;  // of the cosines, which are the fourth product
};

}  // namespace arcshard::bench
