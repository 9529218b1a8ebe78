#pragma once

#include <optional>
#include <string>

#include "common/program/command_line.h"
#include "common/rpc/security/security.h"

namespace arcshard {

// The options that make a Security: --tls-ca, --tls-cert, --tls-key and --use-proxy, each with an environment variable
// (ARCSHARD_TLS_CA, ...), and for programs that listen --insecure (ARCSHARD_INSECURE=1).
class SecurityOptions {
 public:
  enum class Listens { kYes, kNo };

  void AddTo(CommandLine* command, Listens listens);

  // Call after parsing. own: the role that the certificate must have; nullopt: any. A result is the exit code with
  // which the program must end; the reason was logged.
  std::optional<int> Take(std::optional<CertifiedRole> own, Security* security) const;

 private:
  std::optional<int> TakeTls(std::optional<CertifiedRole> own, Security* security) const;

  TlsFiles files_;
  bool insecure_ = false;
  bool use_proxy_ = false;
};

}  // namespace arcshard
