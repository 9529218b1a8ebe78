#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace arcshard {

// One request of HTTP/1 for /metrics and its answer, without a socket. Not thread-safe.
class HttpExchange {
 public:
  static constexpr size_t kMostRequestBytes = 8192;

  // `page` makes the text of the answer, once.
  explicit HttpExchange(std::function<std::string()> page) : page_(std::move(page)) {}

  // Bytes that have arrived. Once the head of the request is complete, or cannot become one, unsent() is the answer.
  void Receive(absl::string_view bytes);
  bool answered() const { return answered_; }

  // What is still to be sent; Sent takes it off.
  absl::string_view unsent() const { return absl::string_view(answer_).substr(sent_); }
  void Sent(size_t bytes) { sent_ += bytes; }

 private:
  std::string AnswerTo(absl::string_view request_line) const;

  const std::function<std::string()> page_;
  std::string request_;
  bool answered_ = false;
  std::string answer_;
  size_t sent_ = 0;
};

}  // namespace arcshard
