#include "cli/healthcheck/healthcheck.h"

#include <unistd.h>

#include <csignal>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "cli/healthcheck/check_server.h"
#include "cli/healthcheck/check_worker.h"
#include "common/base/status_macros.h"
#include "common/net/host_port.h"

namespace arcshard::cli {
namespace {

absl::StatusOr<absl::Duration> ParseTimeout(const std::string& text) {
  absl::Duration timeout;
  if (absl::ParseDuration(text, &timeout) && timeout > absl::ZeroDuration() && timeout <= absl::Hours(24)) {
    return timeout;
  }
  return absl::InvalidArgumentError(absl::StrCat("--timeout ", text, " is no duration such as 5s or 2m, up to 24h"));
}

// Has the kernel end this process a second after `timeout`, whatever it does or waits for then. Not every container
// engine ends a check that it has given up; on a machine that has no time for them, checks would become more and more.
void EndAfter(absl::Duration timeout) {
  std::signal(SIGALRM, SIG_DFL);  // the caller may have ignored it
  alarm(static_cast<unsigned>(absl::ToInt64Seconds(absl::Ceil(timeout, absl::Seconds(1)))) + 1);
}

}  // namespace

HealthcheckCommand::HealthcheckCommand(CommandLine program)
    : Command(program.AddCommand("healthcheck",
                                 "Exit with 0 if a process of a run serves, otherwise with 1 and the reason")) {
  line().Add("role", &role_, "What the process is").OneOf({"coordinator", "shard", "worker"}).Required();
  line()
      .Add("--address", &address_,
           "host:port that it listens on, a worker for its metrics; default: port 7000 of this machine for a "
           "coordinator, 7100 for a shard, 9400 for a worker")
      .OrFromEnvironment("ARCSHARD_HEALTH_ADDRESS");
  line().Add("--timeout", &timeout_, "How long to wait for an answer").ShowDefault();
  security_.AddTo(&line(), SecurityOptions::Listens::kNo);
}

absl::Status HealthcheckCommand::Check() const {
  // The parser would check the variable for every command of arcshard.
  const std::string problem = address_.empty() ? "" : PeerAddressProblem(address_);
  if (!problem.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--address: ", problem, " (see arcshard healthcheck --help)"));
  }
  return ParseTimeout(timeout_).status();
}

absl::StatusOr<int> HealthcheckCommand::Run() {
  ASSIGN_OR_RETURN(const absl::Duration timeout, ParseTimeout(timeout_));
  EndAfter(timeout);
  if (role_ == "worker") {  // its metrics have no TLS
    RETURN_IF_ERROR(CheckWorker(address_.empty() ? "127.0.0.1:9400" : address_, timeout));
    return 0;
  }
  Security security;
  if (const std::optional<int> exit_code = security_.Take(std::nullopt, &security)) return *exit_code;
  const bool shard = role_ == "shard";
  const std::string address = !address_.empty() ? address_ : shard ? "127.0.0.1:7100" : "127.0.0.1:7000";
  RETURN_IF_ERROR(CheckServer(address, shard ? CertifiedRole::kShard : CertifiedRole::kCoordinator, security, timeout));
  return 0;
}

}  // namespace arcshard::cli
