#include "cli/status/status.h"

#include <grpcpp/client_context.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "cli/display/terminal.h"
#include "cli/status/status_text.h"
#include "cli/train/run_folder.h"
#include "common/base/status_macros.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"

namespace arcshard::cli {
namespace {

class Coordinator {
 public:
  Coordinator(const std::string& address, const Security& security)
      : name_(absl::StrCat("the coordinator at ", address)),
        channel_(MakeChannel(address, security, CertifiedRole::kCoordinator)),
        stub_(v1::Coordinator::NewStub(channel_)) {}

  absl::StatusOr<v1::RunStatus> Ask(absl::Duration timeout) {
    const absl::Time deadline = absl::Now() + timeout;
    RETURN_IF_ERROR(AwaitConnected(channel_.get(), name_, timeout));
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    v1::RunStatus status;
    RETURN_IF_ERROR(Annotate(FromGrpcStatus(stub_->GetStatus(&context, v1::StatusRequest(), &status)), name_));
    return status;
  }

 private:
  const std::string name_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Coordinator::Stub> stub_;
};

absl::Status WriteOut(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  return std::fflush(stdout) == 0 ? absl::OkStatus() : absl::UnavailableError("stdout cannot be written to");
}

// Where the last one was: from the top left corner, each line to its end, as many as there is room for.
std::string InPlace(absl::string_view text, size_t lines) {
  std::string screen = "\x1b[H";
  for (const absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    if (lines-- == 0) break;
    absl::StrAppend(&screen, line, "\x1b[K\n");
  }
  return screen + "\x1b[J";
}

std::string TextOf(const v1::RunStatus& status, const std::string& coordinator, bool json) {
  if (json) return StatusJson(status, coordinator);
  if (isatty(STDOUT_FILENO) == 0) return StatusText(status, coordinator);
  return StatusText(status, coordinator,
                    {.width = TerminalWidth(STDOUT_FILENO), .colours = HasColours(STDOUT_FILENO), .bar = true});
}

// After the coordinator has answered once and then not: nothing more to say if the folder tells that the run has ended.
absl::Status Gone(const StatusOptions& options, const absl::Status& why) {
  if (options.run_folder.empty()) return why;
  const absl::Status ended = RunFolder::CoordinatorOf(options.run_folder).status();
  return absl::IsNotFound(ended) ? WriteOut(absl::StrCat(ended.message(), "\n")) : why;
}

}  // namespace

absl::Status ShowStatus(const StatusOptions& options) {
  std::string address = options.coordinator;
  if (address.empty()) {
    ASSIGN_OR_RETURN(address, RunFolder::CoordinatorOf(options.run_folder));
  }
  Coordinator coordinator(address, options.security);
  const bool in_place = options.watch && !options.json && isatty(STDOUT_FILENO) != 0;
  for (bool first = true;; first = false) {
    const absl::StatusOr<v1::RunStatus> status = coordinator.Ask(options.timeout);
    if (!status.ok() && !first) return Gone(options, status.status());
    if (!status.ok() && !options.run_folder.empty()) return Annotate(status.status(), options.run_folder);
    RETURN_IF_ERROR(status.status());
    std::string text = TextOf(*status, address, options.json);
    if (in_place) {
      text = absl::StrCat(first ? "\x1b[2J" : "", InPlace(text, TerminalHeight(STDOUT_FILENO) - 1));
    } else if (!first && !options.json) {
      text = absl::StrCat("\n", text);
    }
    RETURN_IF_ERROR(WriteOut(text));
    const v1::Progress::Phase phase = status->progress().phase();
    const bool ended = phase == v1::Progress::PHASE_FINISHED || phase == v1::Progress::PHASE_FAILED;
    if (!options.watch || ended) return absl::OkStatus();
    absl::SleepFor(options.interval);
  }
}

}  // namespace arcshard::cli
