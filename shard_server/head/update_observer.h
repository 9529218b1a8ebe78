#pragma once

#include "shard_server/head/cpu/block_rows.h"

namespace arcshard::head {

// Who wants to see rows once more before a step changes them.
class UpdateObserver {
 public:
  virtual ~UpdateObserver() = default;

  // Called before anything of these rows changes, of which an update tells in pieces: each row once. Rows count from
  // the head's first. Several of the head's threads call at once, of different rows. May wait, and may read any rows
  // with Head::ReadHeld.
  virtual void BeforeUpdate(const BlockRows& rows) = 0;
};

}  // namespace arcshard::head
