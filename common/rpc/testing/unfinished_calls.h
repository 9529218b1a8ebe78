#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/io/file.h"
#include "common/net/resolve.h"

namespace arcshard {

// A call of gRPC whose first message says that it has `announced` bytes, and stops after `sent` of them.
struct UnfinishedCall {
  std::string path;  // "/arcshard.v1.Shard/Exchange"
  uint32_t announced = 0;
  uint32_t sent = 0;
};

// A client for tests of what strangers can take from a server: one connection of HTTP/2 in plaintext to 127.0.0.1, with
// unfinished calls. It begins as many as it wants or, if that is fewer, as the server lets a connection have, and keeps
// to the windows that the server grants. Not thread-safe.
class UnfinishedCalls {
 public:
  static constexpr int kLimit = 600'000;  // milliseconds, far more than anything takes

  UnfinishedCalls(int port, const UnfinishedCall& call, int wanted)
      : path_(call.path), message_(MessageOf(call)), wanted_(wanted) {
    const Addresses there = Resolve("127.0.0.1", port, SOCK_STREAM);
    socket_ = FileDescriptor(::socket(there->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ended_ = connect(socket_.get(), there->ai_addr, there->ai_addrlen) != 0;
    out_ = absl::StrCat("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Frame(kSettings, 0, 0, ""));
  }

  // The server has ended the connection.
  bool ended() const { return ended_; }
  // Calls that the server has ended.
  int refused() const { return refused_; }
  // Nothing is left to do before the server acts: all bytes are sent, or the calls or the connection have ended.
  bool done() const {
    const auto all_sent = [this](const auto& stream) { return stream.second.sent == message_.size(); };
    return ended_ || (has_settings_ && out_.empty() && std::all_of(streams_.begin(), streams_.end(), all_sent));
  }
  // What the server's settings say: calls of a connection at once, and bytes that a new one may send unasked.
  uint32_t most_streams() const { return most_streams_; }
  int64_t window() const { return first_window_; }

  // Does what can be done without waiting.
  void Advance() {
    Receive();
    do {
      Flush();
    } while (out_.empty() && !ended_ && SendData());
  }

  // Waits until `enough` holds of the calls. False: the server has ended all connections, or has done nothing for
  // kLimit.
  template <typename Enough>
  static bool Await(const std::vector<std::unique_ptr<UnfinishedCalls>>& all, const Enough& enough) {
    while (true) {
      std::vector<pollfd> polled;
      for (const auto& one : all) {
        one->Advance();
        const short writes = one->out_.empty() ? 0 : POLLOUT;
        polled.push_back({one->ended_ ? -1 : one->socket_.get(), static_cast<short>(POLLIN | writes), 0});
      }
      if (enough(all)) return true;
      const bool all_ended = std::all_of(all.begin(), all.end(), [](const auto& one) { return one->ended_; });
      if (all_ended) return false;
      const int ready = poll(polled.data(), polled.size(), kLimit);
      if (ready == 0 || (ready < 0 && errno != EINTR)) return false;
    }
  }
  static bool AwaitDone(const std::vector<std::unique_ptr<UnfinishedCalls>>& all) {
    return Await(all, [](const auto& calls) {
      return std::all_of(calls.begin(), calls.end(), [](const auto& one) { return one->done(); });
    });
  }

 private:
  enum Type : char { kData = 0, kHeaders = 1, kReset = 3, kSettings = 4, kPing = 6, kWindowUpdate = 8 };
  static constexpr char kAck = 1, kEndStream = 1, kEndHeaders = 4;
  static constexpr size_t kFrameHeader = 9;
  static constexpr int64_t kMostOfAFrame = 16'000;
  static constexpr size_t kMostWaiting = 256 << 10;  // bytes in out_, about

  struct Stream {
    int64_t window = 0;
    size_t sent = 0;  // bytes of message_
  };

  static std::string BigEndian(uint64_t value, int bytes) {
    std::string text;
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 0xff);
    return text;
  }
  static uint32_t Number(absl::string_view bytes) {
    uint32_t value = 0;
    for (const char byte : bytes) value = value << 8 | static_cast<unsigned char>(byte);
    return value;
  }
  // What is sent of each call's message, as gRPC frames it.
  static std::string MessageOf(const UnfinishedCall& call) {
    return absl::StrCat(std::string(1, '\0'),  // not compressed
                        BigEndian(call.announced, 4), std::string(call.sent, 'x'));
  }
  static std::string Frame(Type type, char flags, uint32_t stream, absl::string_view payload) {
    const char kind[] = {type, flags};
    return absl::StrCat(BigEndian(payload.size(), 3), absl::string_view(kind, sizeof(kind)), BigEndian(stream, 4),
                        payload);
  }
  // A header in HPACK, as a literal that is not indexed.
  static std::string Header(absl::string_view name, absl::string_view value) {
    return absl::StrCat(std::string(1, '\0'), BigEndian(name.size(), 1), name, BigEndian(value.size(), 1), value);
  }

  void Begin() {
    const std::string headers = absl::StrCat(Header(":method", "POST"), Header(":scheme", "http"),
                                             Header(":path", path_), Header(":authority", "localhost"),
                                             Header("content-type", "application/grpc"), Header("te", "trailers"));
    for (int i = 0; i < wanted_ && static_cast<uint32_t>(i) < most_streams_; ++i) {
      const uint32_t id = 2 * static_cast<uint32_t>(i) + 1;
      out_ += Frame(kHeaders, kEndHeaders, id, headers);
      streams_[id] = {.window = first_window_};
    }
  }

  void Receive() {
    char buffer[65536];
    for (ssize_t got; !ended_;) {
      got = recv(socket_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) break;
      if (got <= 0) {
        ended_ = true;
      } else {
        in_.append(buffer, static_cast<size_t>(got));
      }
    }
    while (in_.size() >= kFrameHeader) {
      const size_t size = kFrameHeader + Number(in_.substr(0, 3));
      if (in_.size() < size) return;
      const std::string frame = in_.substr(0, size);
      in_.erase(0, size);
      const absl::string_view bytes = frame;
      Take(frame[3], frame[4], Number(bytes.substr(5, 4)), bytes.substr(kFrameHeader));
    }
  }

  void Take(char type, char flags, uint32_t stream, absl::string_view payload) {
    const bool ack = (flags & kAck) != 0;
    if (type == kSettings && !ack) {
      TakeSettings(payload);
      out_ += Frame(kSettings, kAck, 0, "");
      if (!std::exchange(has_settings_, true)) Begin();
    } else if (type == kPing && !ack) {
      out_ += Frame(kPing, kAck, 0, payload);
    } else if (type == kWindowUpdate && stream == 0) {
      window_ += Number(payload);
    } else if (type == kWindowUpdate) {
      if (const auto found = streams_.find(stream); found != streams_.end()) found->second.window += Number(payload);
    } else if (type == kReset || (type == kHeaders && (flags & kEndStream) != 0)) {
      refused_ += static_cast<int>(streams_.erase(stream));
    }
  }

  void TakeSettings(absl::string_view payload) {
    constexpr uint32_t kMostStreamsSetting = 3, kWindowSetting = 4;
    for (; payload.size() >= 6; payload.remove_prefix(6)) {
      const uint32_t name = Number(payload.substr(0, 2)), value = Number(payload.substr(2, 4));
      if (name == kMostStreamsSetting) most_streams_ = value;
      if (name != kWindowSetting) continue;
      for (auto& [id, stream] : streams_) stream.window += int64_t{value} - first_window_;
      first_window_ = value;
    }
  }

  // Whether there was anything to send.
  bool SendData() {
    for (auto& [id, stream] : streams_) {
      while (stream.sent < message_.size() && stream.window > 0 && window_ > 0 && out_.size() < kMostWaiting) {
        const int64_t left = static_cast<int64_t>(message_.size() - stream.sent);
        const int64_t size = std::min({kMostOfAFrame, stream.window, window_, left});
        out_ += Frame(kData, 0, id, absl::string_view(message_).substr(stream.sent, static_cast<size_t>(size)));
        stream.sent += static_cast<size_t>(size);
        stream.window -= size;
        window_ -= size;
      }
    }
    return !out_.empty();
  }

  void Flush() {
    while (!out_.empty() && !ended_) {
      const ssize_t sent = send(socket_.get(), out_.data(), out_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) return;
      if (sent <= 0) {
        ended_ = true;
      } else {
        out_.erase(0, static_cast<size_t>(sent));
      }
    }
  }

  const std::string path_, message_;
  const int wanted_;
  FileDescriptor socket_;
  std::string in_, out_;
  std::map<uint32_t, Stream> streams_;  // those that the server has not ended
  bool has_settings_ = false, ended_ = false;
  int refused_ = 0;
  uint32_t most_streams_ = ~uint32_t{0};
  int64_t first_window_ = 65'535, window_ = 65'535;  // of a new stream, and of the connection
};

}  // namespace arcshard
