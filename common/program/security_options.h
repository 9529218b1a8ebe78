#pragma once

#include <optional>
#include <string>

#include "common/rpc/security/security.h"

namespace CLI {
class App;
}

namespace arcshard {

// The command line's part of Security: --tls-ca, --tls-cert, --tls-key, each with an environment variable
// (ARCSHARD_TLS_CA, ...), and for what listens --insecure (ARCSHARD_INSECURE=1).
class SecurityOptions {
 public:
  enum class Listens { kYes, kNo };

  void AddTo(CLI::App* app, Listens listens);

  // After parsing. own: the role that the certificate must have; nullopt: any. A number: the program ends with it,
  // having said why in one sentence.
  std::optional<int> Take(std::optional<CertifiedRole> own, Security* security) const;

 private:
  TlsFiles files_;
  bool insecure_ = false;
};

}  // namespace arcshard
