#include "common/program/security_options.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/io/log.h"

namespace arcshard {

void SecurityOptions::AddTo(CommandLine* command, Listens listens) {
  command->Add("--tls-ca", &files_.ca, "PEM file of the CA that signs the certificates of all processes")
      .OrFromEnvironment("ARCSHARD_TLS_CA");
  command->Add("--tls-cert", &files_.certificate, "PEM file of this process's certificate, which names its role")
      .OrFromEnvironment("ARCSHARD_TLS_CERT");
  command->Add("--tls-key", &files_.key, "PEM file of its private key").OrFromEnvironment("ARCSHARD_TLS_KEY");
  command
      ->AddFlag("--use-proxy", &use_proxy_,
                "Connect through the proxy that http_proxy or grpc_proxy names; otherwise no connection uses one")
      .OrFromEnvironment("ARCSHARD_USE_PROXY");
  if (listens == Listens::kNo) return;
  command->AddFlag("--insecure", &insecure_, "Without TLS, listen beyond this machine nevertheless")
      .OrFromEnvironment("ARCSHARD_INSECURE");
}

std::optional<int> SecurityOptions::Take(std::optional<CertifiedRole> own, Security* security) const {
  const std::optional<int> exit_code = TakeTls(own, security);
  if (use_proxy_) security->UseProxy();
  return exit_code;
}

std::optional<int> SecurityOptions::TakeTls(std::optional<CertifiedRole> own, Security* security) const {
  const bool all = !files_.ca.empty() && !files_.certificate.empty() && !files_.key.empty();
  if (!all && !files_.empty()) {
    LogError(absl::StrCat("TLS needs all of --tls-ca, --tls-cert and --tls-key; there is no ",
                          files_.ca.empty()            ? "--tls-ca"
                          : files_.certificate.empty() ? "--tls-cert"
                                                       : "--tls-key"));
    return kUsageError;
  }
  if (all && insecure_) {
    LogError("--insecure and --tls-ca exclude each other");
    return kUsageError;
  }
  if (!all) {
    *security = insecure_ ? Security::Insecure() : Security();
    return std::nullopt;
  }
  absl::StatusOr<Security> made = Security::Tls(files_, own, SystemClock().WallTime());
  if (!made.ok()) {
    LogError(made.status().message());
    return EXIT_FAILURE;
  }
  *security = *std::move(made);
  return std::nullopt;
}

}  // namespace arcshard
