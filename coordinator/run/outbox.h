#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "common/protocol/messages.h"

namespace arcshard::coordinator {

// A participant's stream. The adapter numbers them, each number once.
using Connection = uint64_t;

// What Run says to the participants. Called under the lock that guards Run: must not call back, must not block.
class Outbox {
 public:
  virtual ~Outbox() = default;
  virtual void Send(Connection to, const CoordinatorMessage& message) = 0;
  // The last word to this stream.
  virtual void Close(Connection to, const absl::Status& status) = 0;
};

}  // namespace arcshard::coordinator
