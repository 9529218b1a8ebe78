#include "common/metrics/http_exchange.h"

#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

HttpExchange WithPage() {
  return HttpExchange([] { return std::string("loss 1\n"); });
}

std::string AnswerTo(absl::string_view request) {
  HttpExchange exchange = WithPage();
  exchange.Receive(request);
  return std::string(exchange.unsent());
}

TEST(HttpExchangeTest, TheAnswerIsThePageWithItsLengthAndThatTheConnectionEnds) {
  for (const char* const request :
       {"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "GET /metrics HTTP/1.0\n\n", "GET /metrics?x=1 HTTP/1.1\r\n\r\n"}) {
    const std::string answer = AnswerTo(request);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n")) << request;
    EXPECT_THAT(answer, HasSubstr("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: 7\r\n"));
    EXPECT_THAT(answer, HasSubstr("Connection: close\r\n\r\nloss 1\n"));
  }
  EXPECT_THAT(AnswerTo("HEAD /metrics HTTP/1.1\r\n\r\n"),
              testing::EndsWith("Content-Length: 7\r\nConnection: close\r\n\r\n"));
}

TEST(HttpExchangeTest, WhatIsNotServedIsRefusedByItsCode) {
  EXPECT_THAT(AnswerTo("GET / HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(AnswerTo("GET /metrics2 HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(AnswerTo("POST /metrics HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 405 "));
  EXPECT_THAT(AnswerTo("\x16\x03\x01\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(AnswerTo("GET /metrics\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(AnswerTo("PRI * HTTP/2.0\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
}

TEST(HttpExchangeTest, ARequestMayComeByteByByteButNotGrowWithoutEnd) {
  HttpExchange slow = WithPage();
  for (const char c : std::string("GET /metrics HTTP/1.1\r\n\r\n")) {
    EXPECT_FALSE(slow.answered());
    slow.Receive(std::string(1, c));
  }
  EXPECT_THAT(std::string(slow.unsent()), StartsWith("HTTP/1.1 200 "));
  HttpExchange endless = WithPage();
  for (size_t sent = 0; sent < 2 * HttpExchange::kMostRequestBytes; sent += 1000)
    endless.Receive(std::string(1000, 'x'));
  EXPECT_THAT(std::string(endless.unsent()), StartsWith("HTTP/1.1 431 "));
}

TEST(HttpExchangeTest, TheAnswerIsSentInAsManyPartsAsTheClientTakes) {
  HttpExchange exchange = WithPage();
  exchange.Receive("GET /metrics HTTP/1.1\r\n\r\n");
  const std::string whole(exchange.unsent());
  std::string got;
  while (!exchange.unsent().empty()) {
    got += std::string(exchange.unsent().substr(0, 5));
    exchange.Sent(std::min<size_t>(5, exchange.unsent().size()));
    exchange.Receive("more");  // ignored
  }
  EXPECT_EQ(got, whole);
}

}  // namespace
}  // namespace arcshard
