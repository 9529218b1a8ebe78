#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard_server/head/head.h"

namespace arcshard::bench {

// The work that no head can avoid in a step, in separate parts and with as many threads as the head: its matrix
// products, one pass over weights and moments, and, where weights are not stored in the compute type, one conversion of
// them. It contains nothing else: no exponentials, no norms, no sums over a batch.
class HeadFloor {
 public:
  // Finds the fastest routine and block size for the products on this machine. `active_rows`: the rows of the classes
  // that take part in a step, ascending. ResourceExhausted: no memory.
  static absl::StatusOr<std::unique_ptr<HeadFloor>> Create(const head::HeadOptions& options, int64_t batch,
                                                           std::vector<int64_t> active_rows);
  virtual ~HeadFloor() = default;

  // Errors of these functions are the device's.

  // For each block: the cosines, the weighted centers and the gradient; and the cosines a second time for the share of
  // the classes whose exponentials are not kept.
  virtual absl::Status Products() = 0;
  // v <- momentum·v + g, w <- w - lr·v, in place on the active rows of arrays as large as weights and moments; also a
  // second moment, of g^2, if the optimizer has two.
  virtual absl::Status Stream() = 0;
  // Converts the weights of the active rows to the compute type. Does nothing where they are stored in it.
  virtual absl::Status Read() = 0;

  virtual std::string routine() const = 0;      // "brgemm, 32 rows a call"
  virtual int64_t block_rows() const = 0;       // classes in a block
  virtual double recomputed_share() const = 0;  // share of the cosines computed twice, as a fourth product
};

}  // namespace arcshard::bench
