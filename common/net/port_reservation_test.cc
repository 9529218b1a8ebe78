#include "common/net/port_reservation.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "common/net/listener.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

HostPort AddressOf(const PortReservation& reservation) {
  const auto address = ParseHostPort(reservation.address());
  EXPECT_TRUE(address.ok()) << address.status();
  return *address;
}

sockaddr_in SocketAddressOf(const PortReservation& reservation) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(AddressOf(reservation).port));
  return address;
}

TEST(PortReservationTest, AProcessCanListenThereAndAfterItsDeathAnotherOneCan) {
  const auto reservation = PortReservation::Take();
  ASSERT_TRUE(reservation.ok()) << reservation.status();
  const HostPort address = AddressOf(*reservation);
  for (int life = 0; life < 3; ++life) {
    const auto listener = Listener::Open(address);
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(listener->port(), address.port);
  }
}

TEST(PortReservationTest, NobodyElseGetsThePortMeanwhile) {
  const auto reservation = PortReservation::Take();
  ASSERT_TRUE(reservation.ok()) << reservation.status();
  const sockaddr_in address = SocketAddressOf(*reservation);
  // As a connection binds that goes out.
  const FileDescriptor other(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(bind(other.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), -1);
  EXPECT_EQ(errno, EADDRINUSE);
}

TEST(PortReservationTest, NobodyListensThereByItself) {
  const auto reservation = PortReservation::Take();
  ASSERT_TRUE(reservation.ok()) << reservation.status();
  const sockaddr_in address = SocketAddressOf(*reservation);
  const FileDescriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), -1);
  EXPECT_EQ(errno, ECONNREFUSED);
}

}  // namespace
}  // namespace arcshard
