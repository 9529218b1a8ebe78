#include "bench/local_run/scrape.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/io/file.h"

namespace arcshard::bench {

absl::StatusOr<double> ScrapeGauge(const std::string& port, const std::string& name) {
  const std::string where = absl::StrCat("127.0.0.1:", port);
  int number = 0;
  if (!absl::SimpleAtoi(port, &number)) return absl::InvalidArgumentError(absl::StrCat(where, " is no address"));
  const FileDescriptor client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(number));
  if (connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return ErrnoStatus(errno, where, "cannot connect");
  }
  constexpr absl::string_view kRequest = "GET /metrics HTTP/1.0\r\n\r\n";
  if (write(client.get(), kRequest.data(), kRequest.size()) != static_cast<ssize_t>(kRequest.size())) {
    return ErrnoStatus(errno, where, "cannot write");
  }
  std::string answer;
  char buffer[4096];
  for (ssize_t bytes; (bytes = read(client.get(), buffer, sizeof(buffer))) > 0;) {
    answer.append(buffer, static_cast<size_t>(bytes));
  }
  for (const absl::string_view line : absl::StrSplit(answer, '\n')) {
    double value = 0.0;
    const bool is_it = absl::StartsWith(line, absl::StrCat(name, "{")) || absl::StartsWith(line, name + " ");
    if (is_it && absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) return value;
  }
  return absl::NotFoundError(absl::StrCat(where, " has no ", name));
}

}  // namespace arcshard::bench
