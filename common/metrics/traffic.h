#pragma once

#include "common/metrics/metric_list.h"

namespace arcshard {

// Counts the messages of one direction. Thread-safe.
class Traffic {
 public:
  // `metrics` outlives it; null: nobody counts.
  Traffic(ProcessMetrics* metrics, absl::string_view direction) {
    if (metrics == nullptr) return;
    messages_ = &metrics->messages.With(direction);
    bytes_ = &metrics->message_bytes.With(direction);
  }

  // `Message`: a protobuf.
  template <typename Message>
  void Count(const Message& message) {
    if (messages_ == nullptr) return;
    messages_->Increment();
    bytes_->Increment(static_cast<double>(message.ByteSizeLong()));
  }

 private:
  Counter* messages_ = nullptr;
  Counter* bytes_ = nullptr;
};

}  // namespace arcshard
