#include "cli/healthcheck/check_worker.h"

#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/metrics/metrics_server.h"
#include "common/net/listener.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::HasSubstr;

std::string AddressOf(int port) { return absl::StrCat("127.0.0.1:", port); }

TEST(CheckWorkerTest, WhoServesMetricsIsHealthy) {
  const MetricRegistry registry;
  const auto server = MetricsServer::Create(registry, "127.0.0.1:0");
  ASSERT_TRUE(server.ok()) << server.status();
  const absl::Status status = CheckWorker(AddressOf((*server)->port()), absl::Minutes(5));
  EXPECT_TRUE(status.ok()) << status;
}

TEST(CheckWorkerTest, AnotherServerIsNoWorker) {
  const auto listener = Listener::Open({"127.0.0.1", 0});
  ASSERT_TRUE(listener.ok()) << listener.status();
  std::thread server([&listener] {
    const FileDescriptor& socket = listener->sockets().front();
    pollfd waiting = {.fd = socket.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&waiting, 1, -1), 1);
    const Listener::Accepted accepted = Listener::Accept(socket);
    const std::string answer = "HTTP/1.1 404 Not Found\r\n\r\n";
    EXPECT_EQ(send(accepted.connection.get(), answer.data(), answer.size(), 0), static_cast<ssize_t>(answer.size()));
    pollfd asked = {.fd = accepted.connection.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(poll(&asked, 1, -1), 1);  // so that closing does not discard the answer
    std::string request(4096, ' ');
    EXPECT_GT(recv(accepted.connection.get(), request.data(), request.size(), 0), 0);
  });
  const absl::Status status = CheckWorker(AddressOf(listener->port()), absl::Minutes(5));
  server.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("is not a worker: it answered 'HTTP/1.1 404 Not Found'"));
}

TEST(CheckWorkerTest, WhoAcceptsAndStaysSilentIsGivenUp) {
  const auto listener = Listener::Open({"127.0.0.1", 0});
  ASSERT_TRUE(listener.ok()) << listener.status();
  const std::string address = AddressOf(listener->port());
  EXPECT_THAT(std::string(CheckWorker(address, absl::Milliseconds(100)).message()),
              HasSubstr(absl::StrCat("no worker answers at ", address)));
}

}  // namespace
}  // namespace arcshard::cli
