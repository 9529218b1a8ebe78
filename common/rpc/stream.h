#pragma once

#include <memory>

#include "absl/status/status.h"

// The two ends of a long-lived stream as the rest of arcshard sees it. server_stream.h and client_stream.h are what
// they are made of; nothing else includes a gRPC reactor.
namespace arcshard {

// The receiving end. Called by gRPC threads, one call at a time for a stream; must not block.
template <typename In>
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // In the order of sending. On a server a status that is not OK ends the stream with it; on a client it cancels the
  // call.
  virtual absl::Status OnMessage(const In& message) = 0;
  // Exactly once, after the last OnMessage. Server: OK when the client half-closed in order, Cancelled when the stream
  // broke, the status of Close or OnMessage where that ended it. Client: the server's status, Unavailable when it
  // broke.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// The sending end. Thread-safe, never blocks: messages queue up and are sent in order. May be kept beyond the stream's
// end.
template <typename Out>
class StreamSender {
 public:
  virtual ~StreamSender() = default;
  // False when the stream is closed or closing: the message is dropped.
  virtual bool Send(Out message) = 0;
  // Ends the stream once what was sent before has left. Server: with this status. Client: OK half-closes, anything else
  // cancels the call at once.
  virtual void Close(const absl::Status& status) = 0;
};

}  // namespace arcshard
