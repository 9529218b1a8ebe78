#include "common/program/security_options.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/io/log.h"
#include "common/program/command_line.h"

namespace arcshard {

void SecurityOptions::AddTo(CLI::App* app, Listens listens) {
  app->add_option("--tls-ca", files_.ca, "PEM file of the CA that signs the certificates of all processes")
      ->envname("ARCSHARD_TLS_CA");
  app->add_option("--tls-cert", files_.certificate, "PEM file of this process's certificate, which names its role")
      ->envname("ARCSHARD_TLS_CERT");
  app->add_option("--tls-key", files_.key, "PEM file of its private key")->envname("ARCSHARD_TLS_KEY");
  if (listens == Listens::kNo) return;
  app->add_flag("--insecure", insecure_, "Without TLS, listen beyond this machine nevertheless")
      ->envname("ARCSHARD_INSECURE");
}

std::optional<int> SecurityOptions::Take(std::optional<CertifiedRole> own, Security* security) const {
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
  absl::StatusOr<Security> made = Security::Tls(files_, own, absl::Now());
  if (!made.ok()) {
    LogError(made.status().message());
    return EXIT_FAILURE;
  }
  *security = *std::move(made);
  return std::nullopt;
}

}  // namespace arcshard
