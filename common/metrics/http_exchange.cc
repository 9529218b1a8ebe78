#include "common/metrics/http_exchange.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace arcshard {
namespace {

std::string Answer(absl::string_view status, absl::string_view type, absl::string_view body, bool with_body) {
  return absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Type: ", type, "\r\nContent-Length: ", body.size(),
                      "\r\nConnection: close\r\n\r\n", with_body ? body : "");
}

std::string Refusal(absl::string_view status) {
  return Answer(status, "text/plain; charset=utf-8", absl::StrCat(status, ": GET /metrics is served\n"), true);
}

}  // namespace

void HttpExchange::Receive(absl::string_view bytes) {
  if (answered_) return;  // what follows the request is of no interest
  absl::StrAppend(&request_, bytes.substr(0, kMostRequestBytes + 1 - request_.size()));
  const size_t line_end = request_.find('\n');
  const bool complete = absl::StrContains(request_, "\r\n\r\n") || absl::StrContains(request_, "\n\n");
  if (complete) {
    answer_ = AnswerTo(absl::string_view(request_).substr(0, line_end));
  } else if (request_.size() > kMostRequestBytes) {
    answer_ = Refusal("431 Request Header Fields Too Large");
  } else {
    return;
  }
  answered_ = true;
  request_.clear();
}

std::string HttpExchange::AnswerTo(absl::string_view request_line) const {
  const std::vector<absl::string_view> words = absl::StrSplit(request_line, absl::ByAnyChar(" \r"), absl::SkipEmpty());
  if (words.size() != 3 || !absl::StartsWith(words[2], "HTTP/1.")) return Refusal("400 Bad Request");
  if (words[0] != "GET" && words[0] != "HEAD") return Refusal("405 Method Not Allowed");
  if (words[1].substr(0, words[1].find('?')) != "/metrics") return Refusal("404 Not Found");
  return Answer("200 OK", "text/plain; version=0.0.4; charset=utf-8", page_(), words[0] == "GET");
}

}  // namespace arcshard
