#pragma once

#include "shard_server/head/block_rows.h"

namespace arcshard::head {

// Sees rows before a step changes them; a checkpoint taken during training copies them then.
class UpdateObserver {
 public:
  virtual ~UpdateObserver() = default;

  // An update calls this before it changes anything of these rows: several times for different rows, once for each row,
  // and possibly from several of the head's threads at the same time. It may block, and it may read rows with
  // Head::ReadHeld.
  virtual void BeforeUpdate(const BlockRows& rows) = 0;
};

}  // namespace arcshard::head
