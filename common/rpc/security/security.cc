#include "common/rpc/security/security.h"

#include <grpc/support/log.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/net/host_address.h"
#include "common/rpc/security/certificate_reloader.h"
#include "common/rpc/security/repeat_filter.h"
#include "common/rpc/status.h"

namespace arcshard {
namespace {

constexpr unsigned int kReloadSeconds = 1;

// Lets a reloader look at its files once a second, on a thread of its own.
class ReloadThread {
 public:
  // `reloader` outlives it.
  explicit ReloadThread(CertificateReloader* reloader) : thread_([this, reloader] { Loop(reloader); }) {}
  ~ReloadThread() {
    {
      MutexLock lock(&mutex_);
      ends_ = true;
      changed_.NotifyAll();
    }
    thread_.join();
  }

 private:
  void Loop(CertificateReloader* reloader) {
    while (!AwaitEnd()) reloader->Look(SystemClock().WallTime());
  }
  // Waits for a second; true: the thread has to end.
  bool AwaitEnd() {
    MutexLock lock(&mutex_);
    if (!ends_) changed_.WaitFor(&mutex_, absl::Seconds(kReloadSeconds));
    return ends_;
  }

  Mutex mutex_;
  CondVar changed_;
  bool ends_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// Logs a line about TLS, unless it was logged a short time ago: a peer that retries must not fill the log.
void LogTls(const std::string& line) {
  static RepeatFilter* const filter = new RepeatFilter;
  if (filter->Allow(line, SystemClock().Now())) LogInfo(line);
}

// The part of `text` after `begin` and before `end`, or up to the text's end; nullopt if `text` does not contain
// `begin`.
std::optional<std::string> Between(absl::string_view text, absl::string_view begin, absl::string_view end) {
  const size_t from = text.find(begin);
  if (from == absl::string_view::npos) return std::nullopt;
  text = text.substr(from + begin.size());
  return std::string(text.substr(0, std::min(text.size(), text.find(end))));
}

// gRPC reports only in its log why a handshake failed. This function receives the log's
// lines, logs those in words for users, and drops the others, which PrepareGrpc suppresses too.
void TakeGrpcLine(gpr_log_func_args* line) {
  const absl::string_view file = line->file, message = line->message;
  if (absl::StrContains(file, "ssl_transport_security")) {
    const std::optional<std::string> reason = Between(message, "routines::", ".");
    if (!reason.has_value()) return;
    const bool plaintext = *reason == "wrong version number" || *reason == "http request";
    LogTls(absl::StrCat("TLS: a handshake failed: ", *reason, plaintext ? " (the other side speaks no TLS)" : ""));
  } else if (absl::StrContains(message, "factory")) {
    LogTls("TLS: certificate, key and CA cannot be taken, or do not fit together; new connections fail until they do");
  }
}

void ListenToGrpc() {
  const char* const verbosity = std::getenv("GRPC_VERBOSITY");
  if (verbosity != nullptr && absl::string_view(verbosity) != "NONE") return;  // the user wants gRPC's own log
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  gpr_set_log_function(&TakeGrpcLine);
}

// Checks that the peer's certificate, whose signature gRPC has already verified, has one of the expected roles.
class RoleVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  // keeps: what has to live as long as gRPC uses the credentials that have this verifier.
  RoleVerifier(std::vector<CertifiedRole> expected, std::shared_ptr<const void> keeps)
      : expected_(std::move(expected)), keeps_(std::move(keeps)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request, std::function<void(grpc::Status)>,
              grpc::Status* result) override {
    const absl::Status status = Check(*request);
    if (!status.ok()) {
      const grpc::string_ref name = request->common_name();
      LogTls(absl::StrCat("TLS: refused a peer (CN '", absl::string_view(name.data(), name.size()),
                          "'): ", status.message()));
    }
    *result = ToGrpcStatus(status);
    return true;  // the result is known now, without a callback
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  absl::Status Check(const grpc::experimental::TlsCustomVerificationCheckRequest& request) const {
    std::vector<std::string> uris;
    for (const grpc::string_ref& uri : request.uri_names()) uris.emplace_back(uri.data(), uri.size());
    ASSIGN_OR_RETURN(const CertifiedRole role, RoleOfUris(uris));
    for (const CertifiedRole expected : expected_) {
      if (role == expected) return absl::OkStatus();
    }
    return absl::PermissionDeniedError(
        absl::StrCat("its certificate is a ", NameOf(role), "'s, expected a ",
                     absl::StrJoin(expected_, " or ",
                                   [](std::string* out, CertifiedRole one) { absl::StrAppend(out, NameOf(one)); }),
                     "'s"));
  }

  const std::vector<CertifiedRole> expected_;
  const std::shared_ptr<const void> keeps_;
};

}  // namespace

struct Security::TlsState : std::enable_shared_from_this<TlsState> {
  explicit TlsState(std::unique_ptr<CertificateReloader> made)
      : reloader(std::move(made)),
        provider(std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
            reloader->identity_path(), reloader->identity_path(), reloader->ca_path(), kReloadSeconds)),
        thread(reloader.get()) {}

  void Fill(grpc::experimental::TlsCredentialsOptions* options, std::vector<CertifiedRole> peers) const {
    options->set_certificate_provider(provider);
    options->watch_root_certs();
    options->watch_identity_key_cert_pairs();
    options->set_certificate_verifier(
        grpc::experimental::ExternalCertificateVerifier::Create<RoleVerifier>(std::move(peers), shared_from_this()));
    options->set_check_call_host(false);
  }

  const std::unique_ptr<CertificateReloader> reloader;  // the provider reads its files
  const std::shared_ptr<grpc::experimental::FileWatcherCertificateProvider> provider;
  ReloadThread thread;
};

Security Security::Insecure() {
  Security security;
  security.insecure_ = true;
  return security;
}

absl::StatusOr<Security> Security::Tls(const TlsFiles& files, std::optional<CertifiedRole> own, absl::Time now) {
  ASSIGN_OR_RETURN(std::unique_ptr<CertificateReloader> reloader, CertificateReloader::Create(files, own, now));
  ListenToGrpc();
  Security security;
  security.tls_ = std::make_shared<const TlsState>(std::move(reloader));
  return security;
}

absl::Time Security::valid_until() const { return tls_->reloader->valid_until(); }

absl::Status Security::refused_files() const { return tls_->reloader->refused(); }

std::shared_ptr<grpc::ServerCredentials> Security::ForServer() const {
  if (!tls()) return grpc::InsecureServerCredentials();
  grpc::experimental::TlsServerCredentialsOptions options(tls_->provider);
  tls_->Fill(&options, {std::begin(kAllCertifiedRoles), std::end(kAllCertifiedRoles)});
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  return grpc::experimental::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> Security::ForChannelTo(CertifiedRole peer) const {
  if (!tls()) return grpc::InsecureChannelCredentials();
  grpc::experimental::TlsChannelCredentialsOptions options;
  tls_->Fill(&options, {peer});
  return grpc::experimental::TlsCredentials(options);
}

absl::Status Security::CheckListen(const std::string& host, absl::string_view address) const {
  if (tls() || IsLoopback(host)) return absl::OkStatus();
  if (!insecure()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "refuses to listen on ", address,
        ", which other machines may reach, without TLS: give --tls-ca, --tls-cert and ",
        "--tls-key (arcshard certs init makes them), or --insecure if everyone on that network may read and change "
        "the run"));
  }
  LogInfo(absl::StrCat("INSECURE: listens on ", address,
                       " without TLS: anyone who reaches it can read, change and stop this run"));
  return absl::OkStatus();
}

}  // namespace arcshard
