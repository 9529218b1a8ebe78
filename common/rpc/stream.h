#pragma once

#include <memory>

#include "absl/status/status.h"

// Interfaces to the two ends of a long-lived stream. server_stream.h and client_stream.h implement them; no other file
// includes a gRPC reactor.
namespace arcshard {

// The receiving end. gRPC's threads call it, one call at a time for a stream. It must not block.
template <typename In>
class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // Called for each message in the order of sending. If the result is not OK, a server ends the stream with it and a
  // client cancels the call.
  virtual absl::Status OnMessage(const In& message) = 0;
  // Called exactly once, after the last OnMessage. Server: OK if the client half-closed, Cancelled if the stream broke,
  // or the status of Close or OnMessage that ended it. Client: the status that OnMessage returned, else the server's;
  // Unavailable if the stream broke.
  virtual void OnClosed(const absl::Status& status) = 0;
};

// The sending end. Thread-safe and never blocks: messages are queued and sent in order. It may be kept after the stream
// has ended.
template <typename Out>
class StreamSender {
 public:
  virtual ~StreamSender() = default;
  // False if the stream is closed or closing: the message was dropped.
  virtual bool Send(Out message) = 0;
  // Ends the stream after the queued messages were sent. Server: with this status. Client: OK half-closes the stream,
  // any other status cancels the call at once.
  virtual void Close(const absl::Status& status) = 0;
};

}  // namespace arcshard
