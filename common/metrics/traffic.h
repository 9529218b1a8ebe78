#pragma once

#include "common/metrics/metric_list.h"

namespace arcshard {

// Counts the messages that a process sends or receives over gRPC, and their bytes. Every stream counts with this class.
// Thread-safe.
class Traffic {
 public:
  // direction: kSent or kReceived. `metrics` outlives this object; null: no counting.
  Traffic(ProcessMetrics* metrics, absl::string_view direction) {
    if (metrics == nullptr) return;
    messages_ = &metrics->messages.With(direction);
    bytes_ = &metrics->message_bytes.With(direction);
  }

  // `Message`: a protobuf.
  template <typename Message>
  void Count(const Message& message) {
    if (messages_ != nullptr) CountBytes(message.ByteSizeLong());
  }
  // A message of so many bytes.
  void CountBytes(size_t bytes) {
    if (messages_ == nullptr) return;
    messages_->Increment();
    bytes_->Increment(static_cast<double>(bytes));
  }

 private:
  Counter* messages_ = nullptr;
  Counter* bytes_ = nullptr;
};

}  // namespace arcshard
